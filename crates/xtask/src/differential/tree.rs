//! Places in a JSON document: found, read, changed.

use std::fmt;

use serde_json::Value;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a member of an object.
    Member(String),
    /// Into an element of an array.
    Element(usize),
}

/// A place, from the document's top.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Place(Vec<Step>);

impl Place {
    /// Reads `a.b[0].c`.
    pub(super) fn of(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let mut pieces = part.split('[');
            steps.extend(pieces.next().filter(|name| !name.is_empty()).map(|name| Step::Member(name.into())));
            let index = |piece: &str| piece.trim_end_matches(']').parse().ok().map(Step::Element);
            steps.extend(pieces.filter_map(index));
        }
        Self(steps)
    }

    fn child(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The name of the innermost member.
    pub(super) fn name(&self) -> &str {
        let member = |step: &'_ Step| matches!(step, Step::Member(_));
        match self.0.iter().rfind(|step| member(step)) {
            Some(Step::Member(name)) => name,
            _ => "",
        }
    }

    /// The value there.
    pub(super) fn get<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(document, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Element(index) => value.get(index),
        })
    }

    fn get_mut<'v>(&self, document: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(document, |value, step| match step {
            Step::Member(name) => value.get_mut(name),
            Step::Element(index) => value.get_mut(index),
        })
    }

    /// The document with another value there; a member that is missing is added.
    pub(super) fn with(&self, document: &Value, new: Value) -> Option<Value> {
        let mut changed = document.clone();
        let (last, above) = self.0.split_last()?;
        let parent = Self(above.to_vec());
        match (last, parent.get_mut(&mut changed)?) {
            (Step::Member(name), Value::Object(members)) => {
                members.insert(name.clone(), new);
            }
            (Step::Element(index), Value::Array(elements)) => *elements.get_mut(*index)? = new,
            _ => return None,
        }
        Some(changed)
    }

    /// The document without what is there.
    pub(super) fn without(&self, document: &Value) -> Option<Value> {
        let mut changed = document.clone();
        let (last, above) = self.0.split_last()?;
        match (last, Self(above.to_vec()).get_mut(&mut changed)?) {
            (Step::Member(name), Value::Object(members)) => {
                members.remove(name)?;
            }
            (Step::Element(index), Value::Array(elements)) if *index < elements.len() => {
                elements.remove(*index);
            }
            _ => return None,
        }
        Some(changed)
    }

    /// The document with one more element in the array that is there.
    pub(super) fn pushed(&self, document: &Value, new: Value) -> Option<Value> {
        let mut changed = document.clone();
        self.get_mut(&mut changed)?.as_array_mut()?.push(new);
        Some(changed)
    }

    /// The document with one more element at the front of the array that is there.
    pub(super) fn put_first(&self, document: &Value, new: Value) -> Option<Value> {
        let mut changed = document.clone();
        self.get_mut(&mut changed)?.as_array_mut()?.insert(0, new);
        Some(changed)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) if at == 0 => write!(f, "{name}")?,
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Every place below the top, outer ones first.
pub(super) fn places(document: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    descend(document, &Place::default(), &mut found);
    found
}

fn descend(value: &Value, at: &Place, found: &mut Vec<Place>) {
    let children: Vec<(Place, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (at.child(Step::Member(name.clone())), value)).collect()
        }
        Value::Array(elements) => {
            let child = |(index, value)| (at.child(Step::Element(index)), value);
            elements.iter().enumerate().map(child).collect()
        }
        _ => return,
    };
    for (place, value) in children {
        found.push(place.clone());
        descend(value, &place, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_found_read_and_changed() {
        let document = json!({"a": [{"b": "1"}, {"b": "2"}], "c": "3"});
        let names: Vec<String> = places(&document).iter().map(Place::to_string).collect();
        assert_eq!(names, ["a", "a[0]", "a[0].b", "a[1]", "a[1].b", "c"]);
        for place in places(&document) {
            assert_eq!(Place::of(&place.to_string()), place);
        }
        let second = Place::of("a[1].b");
        assert_eq!((second.get(&document), second.name()), (Some(&json!("2")), "b"));
        assert_eq!(second.with(&document, json!(4)).unwrap()["a"][1]["b"], 4);
        assert_eq!(Place::of("a[0]").without(&document).unwrap(), json!({"a": [{"b": "2"}], "c": "3"}));
        assert_eq!(Place::of("d").with(&document, json!(5)).unwrap()["d"], 5);
        assert_eq!(Place::of("a").pushed(&document, json!(6)).unwrap()["a"][2], 6);
        assert_eq!(Place::of("a").put_first(&document, json!(7)).unwrap()["a"][0], 7);
        assert_eq!(Place::of("c[0]").without(&document), None);
    }
}
