//! How many different people signed, each standing for another rule of the policy.
//!
//! One who signed twice counts once, and so does a rule that two people meet. Which of several
//! people stands for which of several rules is chosen so that most count (a maximum matching).

use alloc::{string::String, vec::Vec};
use sealog_crypto::PublicKey;

/// What makes two signatures one person's: a name, whoever vouched for it, in any case of letters; or the key,
/// by whatever name. (Two providers that vouch for one name may speak of two people, but nobody can know.)
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// None who signed with a key of the policy.
    name: Option<String>,
    /// The key itself, not its encoding: parameters may be there or not.
    key: Vec<u8>,
}

impl Person {
    pub(crate) fn of(name: Option<&str>, key: &PublicKey) -> Self {
        Self { name: name.map(str::to_lowercase), key: key.key_bits().to_vec() }
    }

    fn is(&self, other: &Self) -> bool {
        self.key == other.key || (self.name.is_some() && self.name == other.name)
    }
}

/// Everything that one person signed.
struct Signer<'a> {
    /// Which signature counts: the first.
    at: usize,
    known_as: Vec<&'a Person>,
    /// Those that take any of the signatures.
    rules: Vec<usize>,
}

/// Which of the signatures count: indices into `signatures`, each with the rules that take it, one for
/// each different person that stands for a rule of their own.
pub(crate) fn distinct(signatures: &[(Person, &[usize])]) -> Vec<usize> {
    let mut people: Vec<Signer<'_>> = Vec::new();
    for (at, (person, rules)) in signatures.iter().enumerate() {
        let mut signer = Signer { at, known_as: alloc::vec![person], rules: rules.to_vec() };
        // A name known with one key and a key known by another name make one person of two.
        let is_same = |other: &mut Signer<'_>| other.known_as.iter().any(|known| known.is(person));
        for same in people.extract_if(.., is_same) {
            signer.at = signer.at.min(same.at);
            signer.known_as.extend(same.known_as);
            signer.rules.extend(same.rules);
        }
        people.push(signer);
    }
    people.sort_unstable_by_key(|signer| signer.at);
    let mut standing: Vec<Option<usize>> = Vec::new();
    let choices: Vec<&[usize]> = people.iter().map(|signer| signer.rules.as_slice()).collect();
    for person in 0..choices.len() {
        place(person, &choices, &mut standing, &mut Vec::new());
    }
    let counted =
        |(number, signer): (usize, &Signer<'_>)| standing.contains(&Some(number)).then_some(signer.at);
    people.iter().enumerate().filter_map(counted).collect()
}

/// Finds a rule for a person, moving others to other rules of theirs where that helps.
///
/// Its depth is bounded by the number of rules: each is tried once.
fn place(
    person: usize,
    choices: &[&[usize]],
    standing: &mut Vec<Option<usize>>,
    tried: &mut Vec<usize>,
) -> bool {
    for rule in choices.get(person).copied().unwrap_or_default() {
        if tried.contains(rule) {
            continue;
        }
        tried.push(*rule);
        if standing.len() <= *rule {
            standing.resize(rule.saturating_add(1), None);
        }
        let holder = standing.get(*rule).copied().flatten();
        if holder.is_none_or(|other| place(other, choices, standing, tried)) {
            if let Some(place) = standing.get_mut(*rule) {
                *place = Some(person);
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: Option<&str>, key: &str) -> Person {
        Person { name: name.map(str::to_lowercase), key: key.into() }
    }

    /// Everybody with another key each time.
    fn count(signatures: &[(&str, &[usize])]) -> usize {
        let keys = (0..).map(|number| alloc::format!("{number}"));
        let signatures: Vec<(Person, &[usize])> = signatures
            .iter()
            .zip(keys)
            .map(|((name, rules), key)| (person(Some(name), &key), *rules))
            .collect();
        distinct(&signatures).len()
    }

    #[test]
    fn people_count_once_and_so_do_rules() {
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[("ann", &[0])]), 1);
        assert_eq!(count(&[("ann", &[0]), ("ann", &[0])]), 1);
        assert_eq!(count(&[("ann", &[0]), ("Ann", &[1])]), 1);
        assert_eq!(count(&[("ann", &[0]), ("bob", &[0])]), 1);
        assert_eq!(count(&[("ann", &[0]), ("bob", &[1])]), 2);
    }

    #[test]
    fn most_people_are_found_a_rule_whatever_the_order() {
        assert_eq!(count(&[("ann", &[0, 1]), ("bob", &[0])]), 2);
        assert_eq!(count(&[("bob", &[0]), ("ann", &[0, 1])]), 2);
        assert_eq!(count(&[("ann", &[0, 1]), ("bob", &[0, 2]), ("eve", &[0])]), 3);
        assert_eq!(count(&[("ann", &[0, 1]), ("bob", &[0, 1]), ("eve", &[0, 1])]), 2);
        // What a person signed second may be what makes them count.
        assert_eq!(count(&[("ann", &[0]), ("bob", &[0]), ("ann", &[1])]), 2);
    }

    #[test]
    fn a_key_is_nobodys_name() {
        let signatures: [(Person, &[usize]); 2] =
            [(person(Some("ab"), "1"), &[0]), (person(None, "ab"), &[1])];
        assert_eq!(distinct(&signatures), [0, 1]);
    }

    #[test]
    fn one_key_is_one_person_by_whatever_name() {
        let (ann, bob, eve, none) = (Some("ann"), Some("bob"), Some("eve"), None);
        let people = |signatures: &[(Option<&str>, &str)]| {
            let people = signatures.iter().map(|(name, key)| person(*name, key));
            let people: Vec<(Person, &[usize])> =
                people.map(|person| (person, [0, 1, 2].as_slice())).collect();
            distinct(&people)
        };
        assert_eq!(people(&[(ann, "1"), (none, "1")]), [0]);
        assert_eq!(people(&[(ann, "1"), (bob, "1")]), [0]);
        assert_eq!(people(&[(none, "1"), (none, "2")]), [0, 1]);
        // Ann is Bob by a key they share, whatever else they used and whatever the order.
        assert_eq!(people(&[(ann, "1"), (bob, "2"), (eve, "3"), (ann, "2")]), [0, 2]);
        assert_eq!(people(&[(eve, "3"), (ann, "1"), (ann, "2"), (bob, "2")]), [0, 1]);
    }
}
