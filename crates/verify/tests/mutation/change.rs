//! Every single change of a document: of each byte, of each element and field, of its form.

use crate::{
    document::{Frame, Meaning, Path, Step, at_mut, bytes_at, is_scalar, meaning, place, values},
    subject::{Judge, Says, Subject},
};
use sealog_bundle::{Bundle, json::Value};
use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// A byte, character or number, or the length.
    Value,
    /// A field or element was left out.
    Drop,
    /// A field or element is there twice.
    Twice,
    /// Two elements changed places.
    Order,
    /// Two fields changed places.
    FieldOrder,
    /// A field nobody knows was added.
    Unknown,
    /// A value came from another bundle.
    Swap,
}

/// A changed bundle that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) place: String,
    pub(crate) change: Change,
    pub(crate) says: Says,
    /// For people: what exactly.
    pub(crate) detail: String,
}

/// Where changed documents go.
pub(crate) struct Court<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) judge: &'a Judge<'a>,
    accepted: Mutex<Vec<Accepted>>,
    tried: AtomicUsize,
}

impl<'a> Court<'a> {
    pub(crate) fn new(subject: &'a Subject, judge: &'a Judge<'a>) -> Self {
        Self { subject, judge, accepted: Mutex::default(), tried: AtomicUsize::new(0) }
    }

    fn try_one(&self, text: &str, place: &str, change: Change, detail: impl FnOnce() -> String) {
        match Bundle::parse(text.as_bytes()) {
            Ok(bundle) => self.try_bundle(&bundle, place, change, detail),
            Err(_) => drop(self.tried.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn try_bundle(&self, bundle: &Bundle, place: &str, change: Change, detail: impl FnOnce() -> String) {
        self.tried.fetch_add(1, Ordering::Relaxed);
        if let Some(says) = (self.judge)(bundle) {
            let accepted = Accepted { place: place.into(), change, says, detail: detail() };
            self.accepted.lock().unwrap().push(accepted);
        }
    }

    /// What was accepted, and how much was tried.
    pub(crate) fn rise(self) -> (Vec<Accepted>, usize) {
        (self.accepted.into_inner().unwrap(), self.tried.into_inner())
    }

    /// Every change but of values.
    pub(crate) fn change_structure(&self) {
        let document = &self.subject.document;
        for (path, value) in values(document) {
            match value {
                Value::Object(fields) => self.change_fields(&path, fields),
                Value::Array(list) => self.change_elements(&path, list),
                _ => {
                    // Another type; null is another way to leave a field out.
                    let frame = Frame::around(document, &path);
                    let others = [Value::Bool(true), Value::Array(Vec::new()), Value::Object(Vec::new())];
                    for other in others {
                        let detail = || other.to_compact();
                        self.try_one(&frame.with(&other), &place(&path), Change::Value, detail);
                    }
                    if matches!(path.last(), Some(Step::Field(_))) {
                        let text = frame.with(&Value::Null);
                        self.try_one(&text, &place(&path), Change::Drop, || "null".into());
                    }
                }
            }
        }
    }

    fn change_fields(&self, path: &Path, fields: &[(std::borrow::Cow<'static, str>, Value<'static>)]) {
        let try_fields = |fields: Vec<_>, place: &str, change: Change| {
            let mut changed = self.subject.document.clone();
            *at_mut(&mut changed, path).unwrap() = Value::Object(fields);
            self.try_one(&changed.to_compact(), place, change, String::new);
        };
        let here = place(path);
        for (at, (name, _)) in fields.iter().enumerate() {
            let field = place(&[path.as_slice(), &[Step::Field(name.to_string())]].concat());
            let mut without = fields.to_vec();
            without.remove(at);
            try_fields(without, &field, Change::Drop);
            let mut twice = fields.to_vec();
            twice.push(fields[at].clone());
            try_fields(twice, &field, Change::Twice);
            let mut null_as_well = fields.to_vec();
            null_as_well.insert(0, (name.clone(), Value::Null));
            try_fields(null_as_well, &field, Change::Twice);
            let mut moved = fields.to_vec();
            let last = moved.len() - 1;
            moved.swap(at, last);
            if at != last {
                try_fields(moved, &here, Change::FieldOrder);
            }
        }
        for value in [Value::Null, Value::text("x"), Value::Object(Vec::new()), Value::Bool(false)] {
            let mut more = fields.to_vec();
            more.push(("extra".into(), value));
            try_fields(more, &here, Change::Unknown);
        }
    }

    fn change_elements(&self, path: &Path, list: &[Value<'static>]) {
        let try_list = |list: Vec<_>, change: Change, at: usize| {
            let mut changed = self.subject.document.clone();
            *at_mut(&mut changed, path).unwrap() = Value::Array(list);
            let element = place(&[path.as_slice(), &[Step::Element(at)]].concat());
            self.try_one(&changed.to_compact(), &element, change, || format!("element {at}"));
        };
        for at in 0..list.len() {
            let mut without = list.to_vec();
            without.remove(at);
            try_list(without, Change::Drop, at);
            for to in [0, list.len()] {
                let mut twice = list.to_vec();
                twice.insert(to, list[at].clone());
                try_list(twice, Change::Twice, at);
            }
            for other in 0..at {
                let mut moved = list.to_vec();
                moved.swap(at, other);
                try_list(moved, Change::Order, at);
            }
        }
    }

    /// Every change of a value: of every `step`th byte of it in each of these ways, and of its length.
    pub(crate) fn change_values(&self, step: usize) {
        let values = values(&self.subject.document);
        let leaves: Vec<_> = values.into_iter().filter(|(_, value)| is_scalar(value)).collect();
        // Long values first, so that no thread is left alone with one.
        let next = AtomicUsize::new(0);
        let mut jobs = Vec::new();
        for (path, value) in &leaves {
            let meaning = meaning(path, value);
            let length = match &meaning {
                Meaning::Bytes(bytes) => bytes.len(),
                Meaning::Text(text) => text.len(),
                Meaning::Number(_) => 0,
            };
            let frame = Frame::around(&self.subject.document, path);
            jobs.push((path, meaning, length, frame));
        }
        let parts: Vec<(usize, Range<usize>)> = jobs
            .iter()
            .enumerate()
            .flat_map(|(job, (_, _, length, _))| {
                let length = *length;
                (0..length).step_by(64).map(move |from| (job, from..length.min(from + 64)))
            })
            .collect();
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    let text = self.subject.document.to_compact();
                    let mut bundle = Bundle::parse(text.as_bytes()).unwrap();
                    while let Some((job, range)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let (path, meaning, _, frame) = &jobs[*job];
                        for at in range.clone().filter(|at| at % step == 0) {
                            self.change_byte(path, meaning, frame, at, &mut bundle);
                        }
                    }
                });
            }
        });
        for (path, meaning, _, frame) in &jobs {
            self.change_length(path, meaning, frame);
        }
    }

    fn change_byte(&self, path: &Path, meaning: &Meaning, frame: &Frame, at: usize, bundle: &mut Bundle) {
        match meaning {
            Meaning::Bytes(bytes) => {
                let place = format!("{}{}", place(path), region(path, bytes, at));
                for flip in [0x01, 0x80] {
                    let detail = || format!("byte {at} ^ {flip:#x}");
                    if let Some(in_place) = bytes_at(bundle, path) {
                        assert!(in_place == bytes, "{place}");
                        in_place[at] ^= flip;
                        self.try_bundle(bundle, &place, Change::Value, detail);
                        bytes_at(bundle, path).unwrap()[at] ^= flip;
                        continue;
                    }
                    let mut changed = bytes.clone();
                    changed[at] ^= flip;
                    self.try_one(&frame.with(&Value::bytes(&changed)), &place, Change::Value, detail);
                }
            }
            Meaning::Text(text) => {
                for flip in [0x01, 0x02, 0x20] {
                    let mut changed = text.clone().into_bytes();
                    changed[at] ^= flip;
                    // What is no text cannot be in a document.
                    let Ok(changed) = String::from_utf8(changed) else { continue };
                    let place = format!("{}{}", place(path), line(path, text, at));
                    let detail = || format!("byte {at} ^ {flip:#x}: {changed:?}");
                    self.try_one(&frame.with(&Value::text(changed.as_str())), &place, Change::Value, detail);
                }
            }
            Meaning::Number(_) => {}
        }
    }

    fn change_length(&self, path: &Path, meaning: &Meaning, frame: &Frame) {
        let place = place(path);
        let try_value = |value: Value<'_>, at: &str| {
            let detail = || value.to_compact().chars().take(80).collect();
            self.try_one(&frame.with(&value), &format!("{place}{at}"), Change::Value, detail);
        };
        match meaning {
            Meaning::Bytes(bytes) => {
                let longer = [bytes.as_slice(), &[0]].concat();
                for changed in [&bytes[..bytes.len() - 1], &bytes[1..], &longer, &bytes.repeat(2)] {
                    try_value(Value::bytes(changed), "");
                }
                // Absent and empty are the same.
                let text = frame.with(&Value::text(""));
                self.try_one(&text, &place, Change::Drop, || "empty".into());
            }
            Meaning::Text(text) => {
                let shorter: String = text.chars().skip(1).collect();
                let upper = text.to_uppercase();
                for changed in [shorter, format!("{text} "), format!(" {text}"), format!("{text}\n"), upper] {
                    if changed != *text {
                        try_value(Value::text(changed), "");
                    }
                }
                self.try_one(&frame.with(&Value::text("")), &place, Change::Drop, || "empty".into());
            }
            Meaning::Number(number) => {
                for changed in [number + 1, number - 1, number ^ 0x100, 0, 1 << 40, i64::MAX, -1, i64::MIN] {
                    let change = if changed == 0 { Change::Drop } else { Change::Value };
                    let text = frame.with(&Value::text(changed.to_string()));
                    if changed != *number {
                        self.try_one(&text, &place, change, || changed.to_string());
                    }
                }
            }
        }
    }
}

/// Which part of a timestamp token a byte is in, of those that no signature covers.
fn region(path: &[Step], token: &[u8], at: usize) -> &'static str {
    if !matches!(path.last(), Some(Step::Field(name)) if name == "signedTimestamp") {
        return "";
    }
    let regions = unsigned_regions(token);
    regions.iter().find(|(range, _)| range.contains(&at)).map_or("", |(_, name)| name)
}

/// Element by element into a TimeStampResp (RFC 3161 §2.4.2, RFC 5652 §5.1).
fn unsigned_regions(token: &[u8]) -> Vec<(Range<usize>, &'static str)> {
    /// Tag and content of each element in a range; nothing when it is no DER.
    fn elements(der: &[u8], range: Range<usize>) -> Vec<(u8, Range<usize>)> {
        let mut found = Vec::new();
        let mut at = range.start;
        while at + 2 <= range.end {
            let (head, length) = match der[at + 1] {
                0x81 if at + 3 <= range.end => (3, usize::from(der[at + 2])),
                0x82 if at + 4 <= range.end => {
                    (4, usize::from(u16::from_be_bytes([der[at + 2], der[at + 3]])))
                }
                short => (2, usize::from(short)),
            };
            if at + head + length > range.end {
                break;
            }
            found.push((der[at], at + head..at + head + length));
            at += head + length;
        }
        found
    }
    /// Tag and length of what has between 256 and 65,535 bytes.
    const HEAD: usize = 4;
    let inside = |range: &Range<usize>| elements(token, range.clone());
    let Some(response) = inside(&(0..token.len())).into_iter().next() else { return Vec::new() };
    let [(_, status), (_, content_info)] = <[_; 2]>::try_from(inside(&response.1)).unwrap();
    let signed_data = inside(&inside(&content_info)[1].1)[0].1.clone();
    let mut regions = vec![(status, " (status)")];
    for (tag, range) in inside(&signed_data) {
        match (tag, regions.len()) {
            (0x31, 1) => regions.push((range, " (digest algorithms)")),
            // With its tag: another one makes it a list of revoked ones, which nobody reads either.
            (0xa0, _) => regions.push((range.start - HEAD..range.end, " (certificates)")),
            _ => {}
        }
    }
    regions
}

/// Which line of a checkpoint a byte is in: one of a witness, or one that matters.
fn line(path: &[Step], note: &str, at: usize) -> &'static str {
    let is_checkpoint = matches!(path.last(), Some(Step::Field(name)) if name == "envelope");
    if !is_checkpoint {
        return "";
    }
    let origin = note.lines().next().unwrap_or_default();
    let start = format!("\n— {} ", origin.split(" - ").next().unwrap_or(origin));
    let signatures = note.rfind("\n\n").map_or(note.len(), |blank| blank + 2);
    let own = note.find(&start).map_or(0..0, |before| {
        let from = before + 1;
        from..note[from..].find('\n').map_or(note.len(), |end| from + end + 1)
    });
    if at < signatures || own.contains(&at) { "" } else { " (cosignature)" }
}
