//! How many different people signed, each standing for another rule of the policy.
//!
//! One who signed twice counts once, and so does a rule that two people meet. Which of several
//! people stands for which of several rules is chosen so that most count (a maximum matching).

use alloc::{string::String, vec::Vec};

/// What makes two signatures one person's: a name, whoever vouched for it, in any case of letters; or a
/// key. (Two providers that vouch for one name may speak of two people, but nobody can know.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Person {
    Name(String),
    Key(String),
}

impl Person {
    pub(crate) fn named(name: &str) -> Self {
        Self::Name(name.to_lowercase())
    }
}

/// Which of the signatures count: indices into `signatures`, each with the rules that take it, one for
/// each different person that stands for a rule of their own.
pub(crate) fn distinct(signatures: &[(Person, &[usize])]) -> Vec<usize> {
    // One of each person: the first; but with the rules of all that this person signed.
    let mut people: Vec<(usize, &Person, Vec<usize>)> = Vec::new();
    for (at, (person, rules)) in signatures.iter().enumerate() {
        match people.iter_mut().find(|(_, known, _)| *known == person) {
            Some((_, _, known)) => known.extend_from_slice(rules),
            None => people.push((at, person, rules.to_vec())),
        }
    }
    let mut standing: Vec<Option<usize>> = Vec::new();
    let choices: Vec<&[usize]> = people.iter().map(|(_, _, rules)| rules.as_slice()).collect();
    for person in 0..choices.len() {
        place(person, &choices, &mut standing, &mut Vec::new());
    }
    let counted = |(number, (at, ..)): (usize, &(usize, &Person, Vec<usize>))| {
        standing.contains(&Some(number)).then_some(*at)
    };
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

    fn count(signatures: &[(&str, &[usize])]) -> usize {
        let signatures: Vec<(Person, &[usize])> =
            signatures.iter().map(|(name, rules)| (Person::named(name), *rules)).collect();
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
            [(Person::named("ab"), &[0]), (Person::Key("ab".into()), &[1])];
        assert_eq!(distinct(&signatures), [0, 1]);
    }
}
