//! Whether answers under load were true ones: a figure of a log that answers nonsense is worth nothing.
//!
//! Of each run some answers, drawn evenly, are verified: the log's signature, the entry's inclusion, and that it is the entry
//! that was sent.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use sealog_bundle::{CreateEntryRequest, EntryBody, TransparencyLogEntry};
use sealog_crypto::PublicKey;
use sealog_pki::timestamp::{TimeStampReq, TimeStampResp, verify as verify_timestamp};
use sealog_pki::{Certificate, ObjectIdentifier, TrustedChain};
use sealog_tlog::ct::{CtEntry, DigitallySigned, Sct, TileLeaf, leaf_index};
use sealog_tlog::merkle::{NodeReader, leaf_hash, node_hash, prove_inclusion, verify_inclusion};
use sealog_tlog::note::KeyVerifier;
use sealog_tlog::tile::{TILE_WIDTH, Tile, data_path};
use sealog_tlog::{Hash, SignedCheckpoint};
use serde_json::Value;

use super::answer;
use super::requests::{Kind, Requests};
use crate::encoding::base64;

/// RFC 6962 §3.1.
const POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");
/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How long a checkpoint may take to cover what was promised.
const MERGED: Duration = Duration::from_secs(30);

/// Where a log's public files are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// At a server, at its root.
    Server(SocketAddr),
    /// In a directory; some peers have others serve it.
    Directory(PathBuf),
}

/// Who answered.
pub(super) enum Judge {
    /// A log of signatures, by its checkpoint key.
    Rekor(KeyVerifier),
    /// A log of certificates: both uses of its key, and where its tiles are read.
    Ct {
        /// Signs SCTs.
        key: PublicKey,
        /// Signs checkpoints.
        checkpoints: KeyVerifier,
        /// Where they are read.
        tiles: Place,
    },
    /// A timestamp authority, by its chain.
    Tsa(TrustedChain),
}

impl Judge {
    /// Verifies answers to requests by their numbers.
    pub(super) fn verify(&self, requests: &Requests, answers: &[(usize, Vec<u8>)]) -> Result<()> {
        ensure!(!answers.is_empty(), "there is no answer to verify");
        match self {
            Self::Rekor(key) => each(answers, |number, answer| rekor(key, requests.body(number)?, answer)),
            Self::Ct { key, checkpoints, tiles } => ct(key, checkpoints, tiles, requests, answers),
            Self::Tsa(chain) => {
                each(answers, |number, answer| timestamp(chain, requests.body(number)?, number, answer))
            }
        }
    }
}

fn each(answers: &[(usize, Vec<u8>)], verify: impl Fn(usize, &[u8]) -> Result<()>) -> Result<()> {
    for (number, answer) in answers {
        verify(*number, answer).with_context(|| format!("the answer to request {number} is not true"))?;
    }
    Ok(())
}

fn rekor(key: &KeyVerifier, request: &[u8], answer: &[u8]) -> Result<()> {
    let entry = TransparencyLogEntry::parse(answer)?;
    let proof = entry.inclusion_proof.as_ref().context("no inclusion proof")?;
    let signed = SignedCheckpoint::parse(&proof.checkpoint)?;
    let checkpoint = signed.verify(key)?;
    let hashes: Vec<Hash> = proof.hashes.iter().copied().map(Hash).collect();
    let hash = leaf_hash(&entry.canonicalized_body);
    verify_inclusion(&hash, proof.log_index, checkpoint.size, &hashes, &checkpoint.root)?;
    ensure!(
        proof.tree_size == checkpoint.size && proof.root_hash == checkpoint.root.0,
        "proof and checkpoint differ"
    );
    ensure!(entry.log_index == proof.log_index, "two indices");
    let EntryBody::HashedRekord(logged) = EntryBody::parse(&entry.canonicalized_body)? else {
        bail!("not a hashedrekord");
    };
    ensure!(logged.canonical() == entry.canonicalized_body, "the body is not in canonical form");
    let CreateEntryRequest::HashedRekord(sent) = CreateEntryRequest::parse(request)? else {
        bail!("not what is sent")
    };
    ensure!(
        logged.digest.as_bytes() == sent.digest
            && logged.signature == sent.signature
            && logged.verifier == sent.verifier
            && logged.key_details == sent.key_details,
        "another entry than was sent"
    );
    Ok(())
}

fn timestamp(chain: &TrustedChain, request: &[u8], number: usize, answer: &[u8]) -> Result<()> {
    let (request, response) = (TimeStampReq::parse(request)?, TimeStampResp::parse(answer)?);
    ensure!(response.nonce() == request.nonce.as_deref(), "another nonce");
    ensure!(*response.imprint() == request.imprint, "another imprint");
    verify_timestamp(&response, format!("artifact {number}").as_bytes(), chain)?;
    Ok(())
}

fn ct(
    key: &PublicKey,
    checkpoints: &KeyVerifier,
    tiles: &Place,
    requests: &Requests,
    answers: &[(usize, Vec<u8>)],
) -> Result<()> {
    let scts = answers.iter().map(|(_, answer)| sct(answer)).collect::<Result<Vec<_>>>()?;
    let indices = scts.iter().map(|sct| Ok(leaf_index(&sct.extensions)?)).collect::<Result<Vec<u64>>>()?;
    let last = indices.iter().max().copied().unwrap_or_default();
    let tiles = Tiles::covering(last, checkpoints, tiles)?;
    for (((number, _), sct), index) in answers.iter().zip(&scts).zip(&indices) {
        let verified = (|| {
            let entry = entry(requests, *number)?;
            sct.verify(&entry, key)?;
            let element = tiles.element(*index)?;
            let leaf = TileLeaf::parse(&element)?;
            ensure!(leaf.entry.to_owned() == entry && leaf.timestamp_ms == sct.timestamp_ms, "another leaf");
            ensure!(leaf.extensions == sct.extensions, "other extensions");
            let proof = prove_inclusion(*index, tiles.size, &tiles).map_err(|error| anyhow!("{error:?}"))?;
            Ok(proof.verify(&leaf.leaf_hash(), &tiles.root)?)
        })();
        verified.with_context(|| format!("the answer to request {number} is not true"))?;
    }
    Ok(())
}

fn sct(answer: &[u8]) -> Result<Sct> {
    let answer: Value = serde_json::from_slice(answer)?;
    let bytes = |name: &str| {
        let text = answer.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"))?;
        base64(text).with_context(|| format!("{name} is not base64"))
    };
    let id: [u8; 32] = bytes("id")?.try_into().ok().context("a log id has 32 bytes")?;
    Ok(Sct {
        version: 0,
        log_id: id,
        timestamp_ms: answer.get("timestamp").and_then(Value::as_u64).context("no timestamp")?,
        extensions: bytes("extensions")?,
        signed: DigitallySigned::parse(&bytes("signature")?).context("not a signature")?,
    })
}

/// What the log was to log.
fn entry(requests: &Requests, number: usize) -> Result<CtEntry> {
    let request: Value = serde_json::from_slice(requests.body(number)?)?;
    let certificate = |place: usize| {
        let text =
            request.pointer(&format!("/chain/{place}")).and_then(Value::as_str).context("no certificate")?;
        let der = base64(text).context("not base64")?;
        anyhow::Ok(Certificate::from_der(&der)?)
    };
    let leaf = certificate(0)?;
    Ok(match requests.kind() {
        Kind::PreChain => CtEntry::Precert {
            issuer_key_hash: sealog_crypto::sha256(certificate(1)?.spki_der()),
            tbs: leaf.tbs_without(&POISON),
            precert: leaf.der().to_vec(),
        },
        _ => CtEntry::X509 { cert: leaf.der().to_vec() },
    })
}

/// The public files under one checkpoint, each fetched once.
struct Tiles<'a> {
    place: &'a Place,
    size: u64,
    root: Hash,
    read: RefCell<HashMap<String, Rc<[u8]>>>,
}

impl<'a> Tiles<'a> {
    /// Under the first checkpoint with a leaf of this index.
    fn covering(last: u64, key: &KeyVerifier, place: &'a Place) -> Result<Self> {
        let deadline = Instant::now() + MERGED;
        loop {
            let signed = SignedCheckpoint::parse(place.get("checkpoint")?)?;
            let checkpoint = signed.verify(key)?;
            if checkpoint.size > last {
                return Ok(Self {
                    place,
                    size: checkpoint.size,
                    root: checkpoint.root,
                    read: RefCell::default(),
                });
            }
            ensure!(
                Instant::now() < deadline,
                "the checkpoint of size {} never covers leaf {last}",
                checkpoint.size
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn file(&self, path: String) -> Result<Rc<[u8]>> {
        if let Some(bytes) = self.read.borrow().get(&path) {
            return Ok(Rc::clone(bytes));
        }
        let bytes: Rc<[u8]> = self.place.get(&path)?.into();
        self.read.borrow_mut().insert(path, Rc::clone(&bytes));
        Ok(bytes)
    }

    /// The width of a tile whose elements each stand over so many leaves.
    fn width(&self, tile: u64, leaves: u64) -> Result<u16> {
        let there = (self.size / leaves).saturating_sub(tile * u64::from(TILE_WIDTH));
        Ok(u16::try_from(there.min(u64::from(TILE_WIDTH)))?)
    }

    fn element(&self, index: u64) -> Result<Vec<u8>> {
        let tile = index / u64::from(TILE_WIDTH);
        let bytes = self.file(data_path(tile, self.width(tile, 1)?))?;
        let mut rest: &[u8] = &bytes;
        for _ in 0..index % u64::from(TILE_WIDTH) {
            rest = TileLeaf::parse_first(rest)?.1;
        }
        let behind = TileLeaf::parse_first(rest)?.1.len();
        Ok(rest.get(..rest.len() - behind).unwrap_or_default().to_vec())
    }
}

impl NodeReader for Tiles<'_> {
    type Error = anyhow::Error;

    fn node(&self, level: u8, index: u64) -> Result<Hash> {
        let (tile_level, height) = (level / 8, level % 8);
        if height > 0 {
            return Ok(node_hash(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?));
        }
        let (tile, place) = (index / u64::from(TILE_WIDTH), index % u64::from(TILE_WIDTH));
        let tile = Tile::new(tile_level, tile, self.width(tile, 1 << (8 * u32::from(tile_level)))?)?;
        let bytes = self.file(tile.path())?;
        ensure!(bytes.len() == usize::from(tile.width()) * 32, "{} is not of its width", tile.path());
        let hash = bytes.as_chunks::<32>().0.get(usize::try_from(place)?);
        hash.copied().map(Hash).context("the tile has no such node")
    }
}

impl Place {
    /// One file.
    fn get(&self, path: &str) -> Result<Vec<u8>> {
        match self {
            Self::Server(address) => ask(*address, path),
            Self::Directory(dir) => {
                let file = dir.join(path);
                let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
                // As it would be served, with a header that says so.
                if !bytes.starts_with(&GZIP) {
                    return Ok(bytes);
                }
                let output = Command::new("gzip").arg("-dc").stdin(std::fs::File::open(&file)?).output()?;
                ensure!(output.status.success(), "{} is not gzip", file.display());
                Ok(output.stdout)
            }
        }
    }
}

/// Over a connection of its own.
pub(super) fn ask(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(MERGED))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let answer = answer::read(&bytes)?.with_context(|| format!("half an answer for {path}"))?;
    ensure!(answer.status == 200, "{path} is answered with status {}", answer.status);
    answer.body(&bytes)
}
