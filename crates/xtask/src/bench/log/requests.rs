//! What is sent: valid requests, each another one, made before any clock starts.
//!
//! All sides get the same bytes. Certificates are what our certificate authority would issue, below a root and an intermediate
//! made here; signatures are of P-256, by as many keys as [`SIGNERS`].

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use sealog_bundle::{KeyDetails, Verifier, request::HashedRekordRequest};
use sealog_crypto::{Digest, HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use sealog_pki::timestamp::TimeStampReq;

use super::chain::{Authority, Chains};
use crate::encoding::to_base64;

/// Keys that sign in turn: so many that no server could remember them by chance.
const SIGNERS: usize = 512;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// hashedrekord with a bare key.
    BareKey,
    /// hashedrekord with a certificate.
    Certificate,
    /// add-chain.
    Chain,
    /// add-pre-chain.
    PreChain,
    /// RFC 3161.
    Timestamp,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::BareKey => "bare key",
            Self::Certificate => "certificate",
            Self::Chain => "add-chain",
            Self::PreChain => "add-pre-chain",
            Self::Timestamp => "timestamp",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::BareKey | Self::Certificate => "/api/v2/log/entries",
            Self::Chain => "/ct/v1/add-chain",
            Self::PreChain => "/ct/v1/add-pre-chain",
            Self::Timestamp => "/api/v1/timestamp",
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Timestamp => "application/timestamp-query",
            _ => "application/json",
        }
    }
}

struct Signer {
    key: PrivateKey,
    certificate: Vec<u8>,
}

/// Requests of one kind, as many as were asked for so far.
pub(super) struct Requests {
    kind: Kind,
    chains: Arc<Chains>,
    signers: Vec<Signer>,
    /// The number of the first that is kept.
    first: usize,
    made: Vec<Box<[u8]>>,
}

impl Requests {
    pub(super) fn new(kind: Kind, chains: &Arc<Chains>) -> Result<Self> {
        let authority = Authority::new()?;
        let signer = |number: usize| {
            let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
            let certificate = authority.issue(number, key.public_key())?;
            Ok(Signer { key, certificate })
        };
        let signers = (0..SIGNERS).map(signer).collect::<Result<_>>()?;
        Ok(Self { kind, chains: Arc::clone(chains), signers, first: 0, made: Vec::new() })
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Those from a number on, as far as they were made.
    pub(super) fn from(&self, number: usize) -> &[Box<[u8]>] {
        number.checked_sub(self.first).and_then(|place| self.made.get(place..)).unwrap_or_default()
    }

    /// Lets go of all before a number.
    pub(super) fn forget_before(&mut self, number: usize) {
        let gone = number.saturating_sub(self.first).min(self.made.len());
        self.made.drain(..gone);
        self.first += gone;
    }

    /// All from the front again: what was let go is made anew.
    pub(super) fn rewind(&mut self) {
        if self.first > 0 {
            self.made = Vec::new();
            self.first = 0;
        }
    }

    /// Makes more until there are all before a number.
    pub(super) fn reach(&mut self, count: usize) -> Result<()> {
        let from = self.first + self.made.len();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = count.saturating_sub(from).div_ceil(threads).max(1);
        let this = &*self;
        let parts: Vec<Result<Vec<Box<[u8]>>>> = std::thread::scope(|scope| {
            let starts = (from..count).step_by(share);
            let work =
                |start: usize| (start..count.min(start + share)).map(|number| this.make(number)).collect();
            let running: Vec<_> = starts.map(|start| scope.spawn(move || work(start))).collect();
            let joined = running.into_iter().map(|thread| thread.join());
            joined.map(|part| part.map_err(|_| anyhow!("a thread that made requests failed"))?).collect()
        });
        for part in parts {
            self.made.extend(part?);
        }
        Ok(())
    }

    /// The body of a request that was made.
    pub(super) fn body(&self, number: usize) -> Result<&[u8]> {
        let request = self.from(number).first().context("no such request")?;
        let head = request
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .context("a request without a head")?;
        request.get(head + 4..).context("a request without a body")
    }

    fn make(&self, number: usize) -> Result<Box<[u8]>> {
        let signer = self.signers.get(number % self.signers.len()).context("there are signers")?;
        let digest = HashAlgorithm::Sha256.digest(format!("artifact {number}").as_bytes());
        let body = match self.kind {
            Kind::BareKey => {
                signed(signer, &digest, Verifier::PublicKey(signer.key.public_key().spki_der().to_vec()))?
                    .into_bytes()
            }
            Kind::Certificate => {
                signed(signer, &digest, Verifier::Certificate(signer.certificate.clone()))?.into_bytes()
            }
            Kind::Chain => self.chain_of(&self.chains.certificate(number, signer.key.public_key())?),
            Kind::PreChain => self.chain_of(&self.chains.precertificate(number, signer.key.public_key())?),
            Kind::Timestamp => {
                let nonce = u64::try_from(number)? + (1 << 60);
                TimeStampReq::new(digest).with_nonce(&nonce.to_be_bytes()).with_certificate().encode()
            }
        };
        let mut request = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            self.kind.path(),
            self.kind.media_type(),
            body.len(),
        )
        .into_bytes();
        request.extend_from_slice(&body);
        Ok(request.into())
    }

    fn chain_of(&self, leaf: &[u8]) -> Vec<u8> {
        let (leaf, above) = (to_base64(leaf), to_base64(self.chains.intermediate()));
        format!(r#"{{"chain":["{leaf}","{above}"]}}"#).into_bytes()
    }
}

fn signed(signer: &Signer, digest: &Digest, verifier: Verifier) -> Result<String> {
    let request = HashedRekordRequest {
        digest: digest.as_bytes().to_vec(),
        signature: signer.key.sign_digest(digest)?,
        verifier,
        key_details: KeyDetails::EcdsaP256Sha256,
    };
    Ok(request.to_json())
}
