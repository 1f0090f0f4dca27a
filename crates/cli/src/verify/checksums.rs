//! Lists of digests as `sha256sum` and its kin write them: which names, which digests.
//!
//! Both forms of each line: `HEX  NAME` (`HEX *NAME` for binary) and `SHA256 (NAME) = HEX`; a backslash before
//! either says that backslashes and line ends in the name are escaped. The algorithm is told by the tag or
//! by the length.
//!
//! Refused, the whole list with it: a line that is neither form, another algorithm, a name with two digests by
//! one algorithm, and names that lead out of the list's directory: a list from elsewhere has no business there.

use crate::failure::quoted;
use sealog_crypto::{Digest, HashAlgorithm};
use std::{
    collections::HashMap,
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

/// Longer lists are not read.
pub(crate) const MAX_LIST_BYTES: usize = 64 << 20;

/// A name and its digests, each by another algorithm.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The name as it is listed, without `./`.
    pub(crate) name: PathBuf,
    /// The line and what it says.
    pub(crate) digests: Vec<(usize, Digest)>,
}

/// What is wrong with a list, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Counted from one.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Neither form.
    Malformed,
    /// A digest by an algorithm that proves nothing any more, or that we do not know.
    Algorithm,
    /// A name that is not below the list's directory.
    Outside(PathBuf),
    /// A name that an earlier line has.
    Again(PathBuf, usize),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => f.write_str("is not a digest and a name"),
            Self::Algorithm => f.write_str("has a digest that is not SHA-256, SHA-384 or SHA-512"),
            Self::Outside(name) => {
                write!(f, "names {}, which is not below the list's directory", quoted(name))
            }
            Self::Again(name, line) => write!(f, "names {} again, after line {line}", quoted(name)),
        }
    }
}

/// Reads a list. Empty lines and those that begin with `#` say nothing.
pub(crate) fn parse(list: &[u8]) -> Result<Vec<Listed>, BadLine> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    for (text, line) in list.split(|byte| *byte == b'\n').zip(1..) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.trim_ascii().is_empty() || text.starts_with(b"#") {
            continue;
        }
        let bad = |fault| BadLine { line, fault };
        let (name, digest) = parse_line(text).map_err(bad)?;
        let place = *places.entry(name.clone()).or_insert(listed.len());
        let Some(earlier) = listed.get_mut(place) else {
            listed.push(Listed { name, digests: vec![(line, digest)] });
            continue;
        };
        let same = |(_, other): &&(usize, Digest)| other.algorithm() == digest.algorithm();
        if let Some((before, _)) = earlier.digests.iter().find(same) {
            return Err(bad(Fault::Again(name, *before)));
        }
        earlier.digests.push((line, digest));
    }
    Ok(listed)
}

fn parse_line(text: &[u8]) -> Result<(PathBuf, Digest), Fault> {
    let (escaped, text) = match text.strip_prefix(b"\\") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (algorithm, hex, name) = tagged(text).or_else(|| untagged(text)).ok_or(Fault::Malformed)?;
    let algorithm = algorithm.ok_or(Fault::Algorithm)?;
    let bytes = decode_hex(hex).ok_or(Fault::Malformed)?;
    let digest = Digest::new(algorithm, &bytes).map_err(|_| Fault::Malformed)?;
    let name = if escaped { unescape(name).ok_or(Fault::Malformed)? } else { name.to_vec() };
    if name.is_empty() || name.contains(&0) {
        return Err(Fault::Malformed);
    }
    Ok((below(&path_of(name).ok_or(Fault::Malformed)?)?, digest))
}

type Parts<'a> = (Option<HashAlgorithm>, &'a [u8], &'a [u8]);

/// `SHA256 (NAME) = HEX`. A name may have all of these characters itself: the first bracket and the last count.
fn tagged(text: &[u8]) -> Option<Parts<'_>> {
    let open = text.windows(2).position(|two| two == b" (")?;
    let (tag, rest) = text.split_at_checked(open)?;
    if tag.is_empty() || !tag.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'/')) {
        return None;
    }
    let rest = rest.get(2..)?;
    let close = rest.windows(4).rposition(|four| four == b") = ")?;
    let algorithm = match tag {
        b"SHA256" => Some(HashAlgorithm::Sha256),
        b"SHA384" => Some(HashAlgorithm::Sha384),
        b"SHA512" => Some(HashAlgorithm::Sha512),
        _ => None,
    };
    Some((algorithm, rest.get(close.checked_add(4)?..)?, rest.get(..close)?))
}

/// `HEX  NAME` or `HEX *NAME`.
fn untagged(text: &[u8]) -> Option<Parts<'_>> {
    let space = text.iter().position(|c| *c == b' ')?;
    let (hex, rest) = text.split_at_checked(space)?;
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    if hex.len() < 32 || !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let algorithm = HashAlgorithm::ALL.into_iter().find(|a| a.len().saturating_mul(2) == hex.len());
    Some((algorithm, hex, name))
}

fn decode_hex(hex: &[u8]) -> Option<Vec<u8>> {
    crate::artifact::decode_hex(std::str::from_utf8(hex).ok()?)
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        plain.push(match byte {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            other => *other,
        });
    }
    Some(plain)
}

#[cfg(unix)]
fn path_of(name: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(OsString::from_vec(name).into())
}

#[cfg(not(unix))]
fn path_of(name: Vec<u8>) -> Option<PathBuf> {
    Some(OsString::from(String::from_utf8(name).ok()?).into())
}

/// The name with nothing but steps downwards.
fn below(name: &Path) -> Result<PathBuf, Fault> {
    let mut steps = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(step) => steps.push(step),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Fault::Outside(name.to_owned()));
            }
        }
    }
    if steps.as_os_str().is_empty() { Err(Fault::Outside(name.to_owned())) } else { Ok(steps) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn names(list: &str) -> Result<Vec<String>, String> {
        match parse(list.replace("HEX", HEX).as_bytes()) {
            Ok(listed) => Ok(listed.iter().map(|l| l.name.display().to_string()).collect()),
            Err(BadLine { line, fault }) => Err(format!("line {line} {fault}")),
        }
    }

    #[test]
    fn every_form_is_read() {
        let list = "# a comment\n\nHEX  a.txt\r\nHEX *b c.txt\nSHA256 (d (1) = .txt) = HEX\n\
                    \\HEX  e\\\\f\\ng\\r\n\\SHA256 (h\\\\i) = HEX\nHEX  ./sub/j\nHEX   k";
        let expected = ["a.txt", "b c.txt", "d (1) = .txt", "e\\f\ng\r", "h\\i", "sub/j", " k"];
        assert_eq!(names(list).unwrap(), expected);
        let upper = format!("{}  a\n", HEX.to_uppercase());
        assert_eq!(parse(upper.as_bytes()), parse(format!("{HEX}  a").as_bytes()));
        assert_eq!(names("").unwrap(), [""; 0]);
    }

    #[test]
    fn the_algorithm_is_told_by_the_length_or_the_tag() {
        for algorithm in HashAlgorithm::ALL {
            let digest = algorithm.digest(b"x");
            let (_, hex) =
                digest.to_string().split_once(':').map(|(a, h)| (a.to_owned(), h.to_owned())).unwrap();
            let tag = algorithm.name().to_uppercase();
            for list in [format!("{hex}  a\n"), format!("{tag} (a) = {hex}\n")] {
                let listed = parse(list.as_bytes()).unwrap();
                assert_eq!(listed, [Listed { name: "a".into(), digests: vec![(1, digest)] }]);
            }
        }
        let both = format!("SHA256 (a) = {HEX}\nSHA512 (./a) = {HEX}{HEX}\n");
        let listed = parse(both.as_bytes()).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].digests.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        let malformed = "is not a digest and a name";
        for bad in [
            "<html>",
            "HEX",
            "HEX a",
            "HEX  ",
            "HEX\ta",
            " HEX  a",
            "HEX  a\0",
            "\\HEX  a\\",
            "\\HEX  a\\x",
            "SHA256 (a) = ",
            "SHA256 (a) = HEXx",
            "SHA256 (a) = zz",
            "SHA256 () = HEX",
            "SHA256(a)= HEX",
            "SHA512 (a) = HEX",
        ] {
            assert_eq!(
                names(&format!("HEX  first\n\n{bad}")).unwrap_err(),
                format!("line 3 {malformed}"),
                "{bad:?}"
            );
        }
        let weak = "has a digest that is not SHA-256, SHA-384 or SHA-512";
        for bad in
            ["d41d8cd98f00b204e9800998ecf8427e  a", "MD5 (a) = d41d8cd98f00b204e9800998ecf8427e", "HEX00  a"]
        {
            assert_eq!(names(bad).unwrap_err(), format!("line 1 {weak}"), "{bad:?}");
        }
    }

    #[test]
    fn names_lead_nowhere_else_and_are_there_once() {
        for name in ["/etc/passwd", "../a", "b/../../a", "b/..", "..", ".", "./"] {
            let said = names(&format!("HEX  {name}")).unwrap_err();
            assert_eq!(said, format!("line 1 names `{name}`, which is not below the list's directory"));
        }
        assert_eq!(names("HEX  a\nHEX  b\nHEX *./a").unwrap_err(), "line 3 names `a` again, after line 1");
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt as _;
        let mut list = format!("{HEX}  a").into_bytes();
        list.push(0xff);
        assert_eq!(parse(&list).unwrap()[0].name.as_os_str().as_bytes(), b"a\xff");
    }
}
