//! One bundle in many spellings: JSON (RFC 8259), its strict profile (RFC 7493), and protobuf's own rules for it.
//!
//! Some spellings mean the same as the one they were made from, some mean nothing, and some mean two things.

use serde_json::{Value, json};

use super::tree::{Place, places};
use crate::encoding;

/// A changed text, and what was done to it.
pub(super) type Spelling = (String, Vec<u8>);

/// Stands where raw text goes.
const HERE: &str = "@@here@@";

/// The spellings that no single field has to do with.
pub(super) fn of_the_whole(document: &Value) -> Vec<Spelling> {
    let everywhere =
        |what: &str| !what.contains("[0]") && !what.contains(" in ") && !what.contains("Material");
    all(document).into_iter().filter(|(what, _)| everywhere(what)).collect()
}

/// Every spelling of a bundle.
pub(super) fn all(document: &Value) -> Vec<Spelling> {
    let mut found = whole(document);
    found.extend(names(document));
    found.extend(numbers(document));
    found.extend(base64(document));
    found.extend(enums(document));
    found.extend(unknown(document));
    found.extend(twice(document));
    found.extend(texts(document));
    found.into_iter().map(|(what, text)| (format!("spelling, {what}"), text)).collect()
}

fn spelled(what: impl Into<String>, text: impl Into<Vec<u8>>) -> Spelling {
    (what.into(), text.into())
}

/// The document with this very text, not a JSON value, at a place.
fn raw(document: &Value, place: &Place, text: &str) -> Option<Vec<u8>> {
    let marked = place.with(document, json!(HERE))?.to_string();
    Some(marked.replace(&format!("\"{HERE}\""), text).into_bytes())
}

/// The document with one more member, its name this very text, beside the member at `place`.
fn raw_member(document: &Value, place: &str, name: &str, value: Value) -> Option<Vec<u8>> {
    let beside = place.rsplit_once('.').map_or(HERE.to_owned(), |(above, _)| format!("{above}.{HERE}"));
    let marked = Place::of(&beside).with(document, value)?.to_string();
    Some(marked.replace(HERE, name).into_bytes())
}

/// What stands around the document, and between its parts.
fn whole(document: &Value) -> Vec<Spelling> {
    let text = document.to_string();
    let pretty = serde_json::to_string_pretty(document).unwrap_or_default();
    let cut = text.get(..text.len() / 2).unwrap_or_default();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        spelled("indented", pretty.clone()),
        spelled("tabs and carriage returns", pretty.replace("  ", "\t").replace('\n', "\r\n")),
        spelled("white space around", format!(" \n{text}\n\n")),
        spelled("byte order mark", format!("\u{feff}{text}")),
        spelled("no-break space around", format!("\u{a0}{text}")),
        spelled("form feed around", format!("\u{c}{text}")),
        spelled("a letter after it", format!("{text}x")),
        spelled("a document after it", format!("{text}{{}}")),
        spelled("the same after it", format!("{text}\n{text}\n")),
        spelled("a zero byte after it", format!("{text}\0")),
        spelled("a trailing comma", text.replacen("}}", ",}}", 1)),
        spelled("a comment", text.replacen('{', "{/* here */", 1)),
        spelled("single quotes", text.replace('"', "'")),
        spelled("cut short", cut),
        spelled("nothing", ""),
        spelled("null", "null"),
        spelled("in an array", format!("[{text}]")),
        spelled("in a string", json!(text).to_string()),
        spelled("UTF-16", wide),
    ]
}

/// `logIndex` as `log_index`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn renamed(value: &Value, rename: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (rename(name), renamed(value, rename))).collect()
        }
        Value::Array(elements) => elements.iter().map(|element| renamed(element, rename)).collect(),
        other => other.clone(),
    }
}

/// Every object's members the other way round.
fn backwards(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{}:{}", json!(name), backwards(value));
            format!("{{{}}}", members.iter().rev().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(backwards).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn names(document: &Value) -> Vec<Spelling> {
    let text = document.to_string();
    let mut found = vec![
        spelled("members the other way round", backwards(document)),
        spelled("all names in snake_case", renamed(document, &snake).to_string()),
        spelled("all names in lower case", renamed(document, &str::to_ascii_lowercase).to_string()),
        spelled("a name with an escape", text.replacen("\"mediaType\"", "\"media\\u0054ype\"", 1)),
    ];
    let cased: Vec<Place> = places(document)
        .into_iter()
        .filter(|place| snake(place.name()) != place.name() && place.to_string().ends_with(place.name()))
        .collect();
    for place in &cased {
        let Some(value) = place.get(document) else { continue };
        let Some(without) = place.without(document) else { continue };
        let one = raw_member(&without, &place.to_string(), &snake(place.name()), value.clone());
        found.extend(one.map(|text| spelled(format!("snake_case {place}"), text)));
        let both = raw_member(document, &place.to_string(), &snake(place.name()), value.clone());
        found.extend(both.map(|text| spelled(format!("camelCase and snake_case {place}"), text)));
    }
    found
}

fn numbers(document: &Value) -> Vec<Spelling> {
    let mut found = Vec::new();
    let is_number = |place: &Place| {
        let text = place.get(document).and_then(Value::as_str)?;
        text.parse::<i64>().ok().filter(|_| place.name() != "version")
    };
    let numbered: Vec<(Place, i64)> =
        places(document).into_iter().filter_map(|place| Some((place.clone(), is_number(&place)?))).collect();
    let mut bare = document.clone();
    for (place, number) in &numbered {
        bare = place.with(&bare, json!(number)).unwrap_or(bare);
    }
    found.push(spelled("all numbers bare", bare.to_string()));
    for (place, number) in &numbered {
        for (what, text) in [
            ("bare", format!("{number}")),
            ("with a fraction of zero", format!("{number}.0")),
            ("with an exponent of zero", format!("{number}e0")),
            ("with a fraction of zero in a string", format!("\"{number}.0\"")),
            ("with an exponent of zero in a string", format!("\"{number}e0\"")),
            ("with a half", format!("{number}.5")),
            ("with a plus", format!("\"+{number}\"")),
            ("with zeros in front", format!("\"00{number}\"")),
            ("with zeros in front, bare", format!("00{number}")),
            ("with a space in front", format!("\" {number}\"")),
            ("with a space behind", format!("\"{number} \"")),
            ("in hexadecimal", format!("\"0x{number:x}\"")),
            ("with an underscore", format!("\"{number}_0\"")),
        ] {
            let text = raw(document, place, &text);
            found.extend(text.map(|text| spelled(format!("{} {what}", place.name()), text)));
        }
    }
    // The proof and the entry have fields of one name: the names of cases must differ.
    let mut seen = Vec::new();
    for (what, _) in &mut found {
        let count = seen.iter().filter(|other| *other == what).count();
        seen.push(what.clone());
        if count > 0 {
            what.push_str(&format!(" ({})", count + 1));
        }
    }
    found
}

/// What base64 can look like.
fn base64_forms(text: &str) -> Vec<(&'static str, String)> {
    let url_safe = text.replace('+', "-").replace('/', "_");
    let broken: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let (first, rest) = text.split_at(text.len() / 2);
    let mut forms = vec![
        ("url-safe", url_safe.clone()),
        ("without padding", text.trim_end_matches('=').to_owned()),
        ("url-safe without padding", url_safe.trim_end_matches('=').to_owned()),
        ("in lines", broken.join("\n")),
        ("in lines with carriage returns", broken.join("\r\n")),
        ("with a line end behind", format!("{text}\n")),
        ("with a space within", format!("{first} {rest}")),
        ("with a space in front", format!(" {text}")),
        ("with too much padding", format!("{text}=")),
        ("with four signs of padding", format!("{text}====")),
        ("with a letter that is none", format!("{first}!{rest}")),
        ("with a letter behind", format!("{text}A")),
    ];
    let mixed = format!("{}{rest}", first.replace('+', "-").replace('/', "_"));
    let both = mixed.contains(['-', '_']) && mixed.contains(['+', '/']);
    forms.extend(both.then_some(("with both alphabets", mixed)));
    forms.extend(trailing_bit(text).map(|form| ("with a trailing bit", form)));
    forms
}

/// Where the last letter has bits that mean nothing, one of them set.
fn trailing_bit(text: &str) -> Option<String> {
    let bare = text.trim_end_matches('=');
    let last = bare.chars().last().filter(|_| bare.len() < text.len())?;
    let next = char::from_u32(u32::from(last) + 1).filter(char::is_ascii_alphanumeric)?;
    Some(format!("{}{next}{}", bare.strip_suffix(last)?, text.strip_prefix(bare)?))
}

/// The fields whose bytes are changed in spelling, each by itself and all at once.
const BYTES: [&str; 6] = ["rawBytes", "signature", "sig", "canonicalizedBody", "signedTimestamp", "rootHash"];

fn base64(document: &Value) -> Vec<Spelling> {
    let mut found = Vec::new();
    let mut whole: Vec<(&str, Value)> = Vec::new();
    for place in places(document).into_iter().filter(|place| BYTES.contains(&place.name())) {
        let Some(text) = place.get(document).and_then(Value::as_str) else { continue };
        for (what, form) in base64_forms(text) {
            let of = whole.iter().position(|(name, _)| *name == what).unwrap_or_else(|| {
                whole.push((what, document.clone()));
                whole.len() - 1
            });
            if let Some((_, all)) = whole.get_mut(of) {
                *all = place.with(all, json!(form)).unwrap_or_default();
            }
            let one = place.with(document, json!(form)).filter(|one| one != document);
            let name = format!("base64 {what} in {place}");
            found.extend(one.map(|one| spelled(name, one.to_string())));
        }
    }
    let differs = whole.into_iter().filter(|(_, all)| all != document);
    found.extend(differs.map(|(what, all)| spelled(format!("all base64 {what}"), all.to_string())));
    found
}

fn enums(document: &Value) -> Vec<Spelling> {
    let place = Place::of("messageSignature.messageDigest.algorithm");
    if place.get(document).is_none() {
        return Vec::new();
    }
    let forms = [
        ("as a number", "1"),
        ("as a number in a string", "\"1\""),
        ("as a number with a fraction", "1.0"),
        ("in lower case", "\"sha2_256\""),
        ("by another name", "\"SHA256\""),
        ("of another length", "\"SHA2_512\""),
        ("unspecified", "\"HASH_ALGORITHM_UNSPECIFIED\""),
        ("zero", "0"),
        ("of a number nobody knows", "99"),
        ("of a name nobody knows", "\"SHA2_1024\""),
    ];
    let form =
        |(what, text): (&str, &str)| Some(spelled(format!("algorithm {what}"), raw(document, &place, text)?));
    forms.into_iter().filter_map(form).collect()
}

/// Members that no bundle has.
fn unknown(document: &Value) -> Vec<Spelling> {
    let mut found = Vec::new();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (what, name, value) in [
        ("unknown member", "\"unknown\"", "1".to_owned()),
        ("unknown member that is null", "\"unknown\"", "null".to_owned()),
        ("unknown member of an object", "\"unknown\"", "{\"a\":{\"a\":1}}".to_owned()),
        ("unknown member 50 deep", "\"unknown\"", deep(50)),
        ("unknown member 200 deep", "\"unknown\"", deep(200)),
        ("unknown member 20000 deep", "\"unknown\"", deep(20_000)),
        ("unknown number beyond all types", "\"unknown\"", "1e999".to_owned()),
        ("unknown number that is none", "\"unknown\"", "NaN".to_owned()),
        ("member `@type`", "\"@type\"", "\"type.googleapis.com/dev.sigstore.bundle.v1.Bundle\"".to_owned()),
        ("member `$schema`", "\"$schema\"", "\"x\"".to_owned()),
        ("empty name", "\"\"", "1".to_owned()),
        ("name `__proto__`", "\"__proto__\"", "{\"mediaType\":\"x\"}".to_owned()),
        ("name that is a number", "1", "1".to_owned()),
    ] {
        let marked = document.to_string().replacen('{', &format!("{{{name}:{value},"), 1);
        found.push(spelled(what, marked));
    }
    for place in places(document) {
        if place.get(document).is_some_and(Value::is_object) {
            let text = Place::of(&format!("{place}.unknown")).with(document, json!("x"));
            found.extend(text.map(|text| spelled(format!("unknown member in {place}"), text.to_string())));
        }
    }
    found
}

/// A member twice: the same, and another before or after it.
fn twice(document: &Value) -> Vec<Spelling> {
    let mut found = Vec::new();
    for place in [
        "mediaType",
        "verificationMaterial",
        "messageSignature",
        "dsseEnvelope",
        "messageSignature.signature",
        "dsseEnvelope.payload",
        "verificationMaterial.tlogEntries",
        "verificationMaterial.tlogEntries[0].logIndex",
        "verificationMaterial.tlogEntries[0].canonicalizedBody",
    ] {
        let Some(value) = Place::of(place).get(document) else { continue };
        let name = Place::of(place).name().to_owned();
        let other = match value {
            Value::Object(_) => json!({}),
            Value::Array(_) => json!([]),
            _ => json!("AAAA"),
        };
        for (what, added) in
            [("twice", value.clone()), ("twice, once another", other), ("twice, once null", Value::Null)]
        {
            // The mark sorts before every letter, so what is added comes first; the second form has it last.
            let first = raw_member(document, place, &name, added.clone());
            found.extend(first.clone().map(|text| spelled(format!("{place} {what}, first"), text)));
            let swapped = backwards(document);
            let last = first.filter(|_| !place.contains('.')).map(|_| {
                let end = swapped.strip_suffix('}').unwrap_or(&swapped);
                format!("{end},\"{name}\":{added}}}")
            });
            found.extend(last.map(|text| spelled(format!("{place} {what}, last"), text)));
        }
    }
    found
}

/// What can stand in strings.
fn texts(document: &Value) -> Vec<Spelling> {
    let text = document.to_string();
    let mut found = vec![
        spelled("slashes escaped", text.replace('/', "\\/")),
        spelled("plus signs escaped", text.replace('+', "\\u002b")),
        spelled("an escape that is none", text.replacen("application", "\\qapplication", 1)),
    ];
    let place = ["verificationMaterial.publicKey.hint", "dsseEnvelope.signatures[0].keyid"];
    for place in place.into_iter().map(Place::of) {
        let mut add = |what: &str, text: Option<Vec<u8>>| {
            found.extend(text.map(|text| spelled(format!("{} {what}", place.name()), text)));
        };
        if place.name() == "hint" && place.get(document).is_none() {
            continue;
        }
        add("of any text", raw(document, &place, "\"my key\""));
        add("with half a pair", raw(document, &place, "\"\\ud800\""));
        add("with a zero", raw(document, &place, "\"\\u0000\""));
        add("with a bare line end", raw(document, &place, "\"a\nb\""));
        let invalid = raw(document, &place, "\"@@\"").map(|text| {
            let at = text.windows(2).position(|pair| pair == b"@@").unwrap_or(0);
            let mut text = text;
            text.splice(at..at + 2, [0xff, 0xfe]);
            text
        });
        add("that is no UTF-8", invalid);
    }
    // Where no string is free to say anything, an unknown member has it.
    let media_type = text.replacen("application", "\\u0061pplication", 1);
    found.push(spelled("media type with an escape", media_type));
    let bytes = encoding::to_base64(b"x");
    let message = Place::of("messageSignature.messageDigest.digest");
    let other = message.get(document).and_then(|_| message.with(document, json!(bytes)));
    found.extend(other.map(|other| spelled("digest of one byte", other.to_string())));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"tlogEntries": [{"logIndex": "7", "canonicalizedBody": "+/8="}]},
            "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "//8="},
        })
    }

    fn text(what: &str) -> String {
        let found = all(&bundle()).into_iter().find(|(name, _)| name == &format!("spelling, {what}"));
        String::from_utf8(found.unwrap_or_else(|| panic!("{what}")).1).unwrap()
    }

    #[test]
    fn spellings_are_as_their_names_say() {
        assert!(text("all names in snake_case").contains("\"tlog_entries\":[{\"canonicalized_body\""));
        assert!(text("logIndex with a fraction of zero").contains("\"logIndex\":7.0"));
        assert!(text("all base64 url-safe").contains("\"signature\":\"__8=\""));
        assert!(text("base64 with a trailing bit in messageSignature.signature").contains("\"//9=\""));
        assert!(text("algorithm as a number").contains("\"algorithm\":1,"));
        let camel = text("camelCase and snake_case messageSignature.messageDigest");
        assert!(camel.contains("\"messageDigest\"") && camel.contains("\"message_digest\""));
        let first = text("mediaType twice, once another, first");
        assert!(first.find("\"AAAA\"").unwrap() < first.find("application").unwrap());
        let last = text("mediaType twice, once another, last");
        assert!(last.ends_with("\"mediaType\":\"AAAA\"}"));
        assert_eq!(last.matches("\"mediaType\"").count(), 2);
    }

    #[test]
    fn no_two_spellings_share_a_name() {
        let mut names: Vec<String> = all(&bundle()).into_iter().map(|(name, _)| name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
