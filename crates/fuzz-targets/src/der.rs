//! DER taken apart into a tree, edited, and put together again with lengths that fit.
//!
//! Bytes changed at random seldom survive the lengths around them; this is how an edit gets to where
//! no signature looks. Read generously and written as it comes: what is good DER is for the parsers to say.

use crate::script::Script;

/// Levels that are taken apart; below, bytes stay bytes.
const MAX_DEPTH: usize = 24;
/// Elements that are taken apart; the others stay bytes.
const MAX_ELEMENTS: usize = 4000;

const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED: u8 = 0x20;
/// `[3] EXPLICIT Extensions` of a certificate.
const EXTENSIONS: u8 = 0xa3;

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    tag: u8,
    inside: Inside,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inside {
    Bytes(Vec<u8>),
    Nodes(Vec<Node>),
}

/// A row of elements that fill the bytes; none when they do not.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Vec<Node>> {
    parse_row(bytes, 0, &mut MAX_ELEMENTS.clone())
}

fn parse_row(mut bytes: &[u8], depth: usize, left: &mut usize) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while let Some((tag, content, rest)) = split(bytes) {
        *left = left.checked_sub(1)?;
        let opens = tag & CONSTRUCTED != 0 || (tag == OCTET_STRING && content.len() > 2);
        let within = if opens && depth < MAX_DEPTH { parse_row(content, depth + 1, left) } else { None };
        let inside = within.map_or_else(|| Inside::Bytes(content.to_vec()), Inside::Nodes);
        nodes.push(Node { tag, inside });
        bytes = rest;
    }
    bytes.is_empty().then_some(nodes)
}

/// Tag, content and what follows.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0, |sum, octet| sum * 256 + usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The bytes of a row.
#[must_use]
pub fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        let content = match &node.inside {
            Inside::Bytes(bytes) => bytes.clone(),
            Inside::Nodes(nodes) => encode(nodes),
        };
        out.extend(element(node.tag, &content));
    }
    out
}

/// One element.
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let octets = content.len().to_be_bytes();
    let shortest: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            out.push(0x80 | u8::try_from(shortest.len()).unwrap_or(0));
            out.extend(shortest);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A certificate with one more extension behind those it has; its signature no longer holds. None when
/// it is not a certificate with extensions.
#[must_use]
pub fn append_extension(certificate: &[u8], extension: &[u8]) -> Option<Vec<u8>> {
    let mut nodes = parse(certificate)?;
    let tbs = nodes.first_mut()?.nodes_mut()?.first_mut()?.nodes_mut()?;
    let explicit = tbs.iter_mut().find(|node| node.tag == EXTENSIONS)?;
    explicit.nodes_mut()?.first_mut()?.nodes_mut()?.extend(parse(extension)?);
    Some(encode(&nodes))
}

impl Node {
    fn nodes_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.inside {
            Inside::Nodes(nodes) => Some(nodes),
            Inside::Bytes(_) => None,
        }
    }
}

/// One edit of some element in a row. `donor` is where foreign elements come from.
pub fn edit(nodes: &mut Vec<Node>, donor: &[Node], script: &mut Script<'_>) {
    let at = script.below(count(nodes));
    let how = script.byte();
    let foreign = nth(donor, script.below(count(donor))).cloned();
    let mut at = at;
    visit(nodes, &mut at, &mut |row, position| change(row, position, how, foreign.clone(), script));
}

fn change(row: &mut Vec<Node>, position: usize, how: u8, foreign: Option<Node>, script: &mut Script<'_>) {
    let Some(node) = row.get_mut(position) else { return };
    match how % 9 {
        0 => drop(row.remove(position)),
        1 => {
            let copy = node.clone();
            row.insert(position, copy);
        }
        2 => {
            let other = script.below(row.len());
            row.swap(position, other);
        }
        3 => node.tag = script.byte(),
        4 => node.inside = Inside::Bytes(script.bytes().to_vec()),
        5 => {
            if let Inside::Bytes(bytes) = &mut node.inside {
                let at = script.below(bytes.len());
                let flip = script.byte();
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= flip);
            }
        }
        6 => {
            if let Some(foreign) = foreign {
                *node = foreign;
            }
        }
        7 => {
            if let Some(foreign) = foreign {
                row.insert(position, foreign);
            }
        }
        _ => {
            let wrapped = node.clone();
            *node = Node { tag: script.byte(), inside: Inside::Nodes(vec![wrapped]) };
        }
    }
}

fn count(nodes: &[Node]) -> usize {
    let within = |node: &Node| match &node.inside {
        Inside::Bytes(_) => 1,
        Inside::Nodes(nodes) => 1 + count(nodes),
    };
    nodes.iter().map(within).sum()
}

fn nth(nodes: &[Node], mut at: usize) -> Option<&Node> {
    for node in nodes {
        if at == 0 {
            return Some(node);
        }
        at -= 1;
        if let Inside::Nodes(within) = &node.inside {
            let size = count(within);
            if at < size {
                return nth(within, at);
            }
            at -= size;
        }
    }
    None
}

/// Calls `act` with the row and place of the element that `at` counts down to; whether it was there.
fn visit(row: &mut Vec<Node>, at: &mut usize, act: &mut dyn FnMut(&mut Vec<Node>, usize)) -> bool {
    for position in 0..row.len() {
        if *at == 0 {
            act(row, position);
            return true;
        }
        *at -= 1;
        if let Some(Node { inside: Inside::Nodes(within), .. }) = row.get_mut(position)
            && visit(within, at, act)
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_apart_can_be_put_together() {
        for bundle in &crate::good::world().bundles {
            let pieces = bundle.bundle.material.timestamps.iter().map(Vec::as_slice);
            for der in pieces.chain(bundle.bundle.material.key.leaf()) {
                let nodes = parse(der).unwrap();
                assert!(count(&nodes) > 20);
                assert_eq!(encode(&nodes), der);
            }
        }
    }

    #[test]
    fn every_edit_leaves_something_that_can_be_read_again() {
        let der = crate::good::world().bundles[0].bundle.material.timestamps[0].clone();
        let whole = parse(&der).unwrap();
        let mut different = 0;
        for at in 0..u8::try_from(count(&whole).min(255)).unwrap() {
            for how in 0..9 {
                let mut nodes = whole.clone();
                edit(&mut nodes, &whole, &mut Script::new(&[at, how, 7, 1, 2, 3]));
                let edited = encode(&nodes);
                assert!(parse(&edited).is_some());
                different += usize::from(edited != der);
            }
        }
        assert!(different > 500, "{different}");
    }
}
