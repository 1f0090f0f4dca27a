//! The log of signatures over gRPC: `dev.sigstore.rekor.v2.Rekor`.
//!
//! The messages are those of rekor-tiles' and protobuf-specs' protocols, written out. What the reference server leaves to
//! a file server it answers with code 12; here the three calls that read are answered, by what is read over HTTP.
//!
//! A field that a request lacks and one with a default value are the same on this wire; both are missing.

use super::answer::{DSSE, HASHED_REKORD, MAX_REQUEST, RekorApi};
use crate::{
    http::{ApiError, grpc::unary},
    logs,
};
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use prost::{Message, Oneof, bytes::Bytes};
use sealog_bundle::{
    self as bundle, JsonError, KeyDetails, Verifier,
    dsse::{Envelope, EnvelopeSignature, MAX_SIGNATURES},
    json::JsonFault,
    request::{DsseRequest, HashedRekordRequest, MAX_VERIFIERS},
};
use sealog_tlog::tile::{CHECKPOINT_PATH, ENTRIES_DIR};
use std::sync::Arc;

/// The service's name, for those who ask whether it is well.
pub(super) const SERVICE: &str = "dev.sigstore.rekor.v2.Rekor";

/// A level and an index with its width.
const MAX_READ: usize = 1024;

pub(super) fn router(api: Arc<RekorApi>) -> Router {
    let method = |name: &str| format!("/{SERVICE}/{name}");
    Router::new()
        .route(&method("CreateEntry"), post(create_entry))
        .route(&method("GetTile"), post(get_tile))
        .route(&method("GetEntryBundle"), post(get_entry_bundle))
        .route(&method("GetCheckpoint"), post(get_checkpoint))
        .with_state(api)
}

async fn create_entry(State(api): State<Arc<RekorApi>>, request: Request) -> Response {
    unary(request, MAX_REQUEST, async move |_, message: CreateEntryRequest| {
        let asked = asked(message)?;
        Ok(TransparencyLogEntry::from(api.create(asked).await?))
    })
    .await
}

async fn get_tile(State(api): State<Arc<RekorApi>>, request: Request) -> Response {
    unary(request, MAX_READ, async move |_, TileRequest { level, index }| {
        let data = api.read(format!("tile/{level}/{index}")).await?;
        Ok(HttpBody { content_type: logs::TILE_TYPE.to_owned(), data })
    })
    .await
}

async fn get_entry_bundle(State(api): State<Arc<RekorApi>>, request: Request) -> Response {
    unary(request, MAX_READ, async move |_, EntryBundleRequest { index }| {
        let data = api.read(format!("tile/{ENTRIES_DIR}/{index}")).await?;
        Ok(HttpBody { content_type: logs::TILE_TYPE.to_owned(), data })
    })
    .await
}

async fn get_checkpoint(State(api): State<Arc<RekorApi>>, request: Request) -> Response {
    unary(request, MAX_READ, async move |_, _: Empty| {
        let data = api.read(CHECKPOINT_PATH.to_owned()).await?;
        Ok(HttpBody { content_type: logs::CHECKPOINT_TYPE.to_owned(), data })
    })
    .await
}

/// A message as the request that it is over HTTP, or what is wrong with it in the same words; the outer error is that of
/// bytes that are no message.
fn asked(message: CreateEntryRequest) -> Result<Result<bundle::CreateEntryRequest, JsonError>, ApiError> {
    let request = match message.spec {
        None => Err(missing(&format!("{HASHED_REKORD}, {DSSE}"))),
        Some(Spec::HashedRekord(request)) => request.read().map_err(|error| error.at(HASHED_REKORD)),
        Some(Spec::Dsse(bytes)) => DsseRequestV002::decoded(&bytes)?.map_err(|error| error.at(DSSE)),
    };
    Ok(request)
}

fn missing(name: &str) -> JsonError {
    JsonError::here(JsonFault::Missing).at(name)
}

fn given(bytes: Vec<u8>, name: &str) -> Result<Vec<u8>, JsonError> {
    if bytes.is_empty() { Err(missing(name)) } else { Ok(bytes) }
}

fn at_most(limit: usize, found: usize, name: &str) -> Result<(), JsonError> {
    if found <= limit {
        return Ok(());
    }
    Err(JsonError::here(JsonFault::TooMany { limit, found }).at(name))
}

/// `google.protobuf.Empty`, and every message of which only the number matters.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct TileRequest {
    #[prost(uint32, tag = "1")]
    level: u32,
    #[prost(string, tag = "2")]
    index: String,
}

#[derive(Clone, PartialEq, Message)]
struct EntryBundleRequest {
    #[prost(string, tag = "1")]
    index: String,
}

/// `google.api.HttpBody`.
#[derive(Clone, PartialEq, Message)]
struct HttpBody {
    #[prost(string, tag = "1")]
    content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct CreateEntryRequest {
    #[prost(oneof = "Spec", tags = "1, 2")]
    spec: Option<Spec>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Spec {
    #[prost(message, tag = "1")]
    HashedRekord(HashedRekordRequestV002),
    /// A [`DsseRequestV002`], decoded only once its lists were counted.
    #[prost(bytes, tag = "2")]
    Dsse(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct HashedRekordRequestV002 {
    #[prost(bytes, tag = "1")]
    digest: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    signature: Option<SignatureMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct SignatureMessage {
    #[prost(bytes, tag = "1")]
    content: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    verifier: Option<VerifierMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct VerifierMessage {
    #[prost(oneof = "Key", tags = "1, 2")]
    verifier: Option<Key>,
    #[prost(int32, tag = "3")]
    key_details: i32,
}

#[derive(Clone, PartialEq, Oneof)]
enum Key {
    #[prost(message, tag = "1")]
    PublicKey(Raw),
    #[prost(message, tag = "2")]
    Certificate(Raw),
}

/// `PublicKey` and `X509Certificate`.
#[derive(Clone, PartialEq, Message)]
struct Raw {
    #[prost(bytes, tag = "1")]
    raw_bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct DsseRequestV002 {
    #[prost(message, optional, tag = "1")]
    envelope: Option<EnvelopeMessage>,
    #[prost(message, repeated, tag = "2")]
    verifiers: Vec<VerifierMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct EnvelopeMessage {
    #[prost(bytes, tag = "1")]
    payload: Vec<u8>,
    #[prost(string, tag = "2")]
    payload_type: String,
    #[prost(message, repeated, tag = "3")]
    signatures: Vec<EnvelopeSignatureMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct EnvelopeSignatureMessage {
    #[prost(bytes, tag = "1")]
    sig: Vec<u8>,
    #[prost(string, tag = "2")]
    keyid: String,
}

/// The lists of a [`DsseRequestV002`]: two bytes on the wire are an element in memory, so they are counted by elements
/// of no size before anything is made of them.
#[derive(Clone, PartialEq, Message)]
struct Counted {
    #[prost(message, optional, tag = "1")]
    envelope: Option<CountedEnvelope>,
    #[prost(message, repeated, tag = "2")]
    verifiers: Vec<Empty>,
}

#[derive(Clone, PartialEq, Message)]
struct CountedEnvelope {
    #[prost(message, repeated, tag = "3")]
    signatures: Vec<Empty>,
}

impl HashedRekordRequestV002 {
    fn read(self) -> Result<bundle::CreateEntryRequest, JsonError> {
        let digest = given(self.digest, "digest")?;
        let signed = |signature: SignatureMessage| {
            let content = given(signature.content, "content")?;
            let verifier = signature.verifier.ok_or_else(|| missing("verifier"))?;
            Ok((content, verifier.read().map_err(|error| error.at("verifier"))?))
        };
        let signature = self.signature.ok_or_else(|| missing("signature"))?;
        let (signature, (verifier, key_details)) =
            signed(signature).map_err(|error: JsonError| error.at("signature"))?;
        Ok(bundle::CreateEntryRequest::HashedRekord(HashedRekordRequest {
            digest,
            signature,
            verifier,
            key_details,
        }))
    }
}

impl VerifierMessage {
    fn read(self) -> Result<(Verifier, KeyDetails), JsonError> {
        let named = match self.key_details {
            0 => Err(JsonFault::Missing),
            number => KeyDetails::from_number(number.into())
                .ok_or_else(|| JsonFault::UnknownName(number.to_string())),
        };
        let key_details = named.map_err(|fault| JsonError::here(fault).at("keyDetails"))?;
        let raw =
            |Raw { raw_bytes }: Raw, arm: &str| given(raw_bytes, "rawBytes").map_err(|error| error.at(arm));
        let verifier = match self.verifier {
            None => return Err(missing("publicKey, x509Certificate")),
            Some(Key::PublicKey(key)) => Verifier::PublicKey(raw(key, "publicKey")?),
            Some(Key::Certificate(der)) => Verifier::Certificate(raw(der, "x509Certificate")?),
        };
        Ok((verifier, key_details))
    }
}

impl DsseRequestV002 {
    fn decoded(bytes: &[u8]) -> Result<Result<bundle::CreateEntryRequest, JsonError>, ApiError> {
        let no_message = |error| ApiError::invalid(format!("invalid request: {error}"));
        let Counted { envelope, verifiers } = Counted::decode(bytes).map_err(no_message)?;
        let signatures = envelope.map_or(0, |envelope| envelope.signatures.len());
        let bounded = at_most(MAX_SIGNATURES, signatures, "signatures")
            .map_err(|error| error.at("envelope"))
            .and_then(|()| at_most(MAX_VERIFIERS, verifiers.len(), "verifiers"));
        match bounded {
            Ok(()) => Ok(Self::decode(bytes).map_err(no_message)?.read()),
            Err(error) => Ok(Err(error)),
        }
    }

    fn read(self) -> Result<bundle::CreateEntryRequest, JsonError> {
        let envelope = self.envelope.ok_or_else(|| missing("envelope"))?;
        let signature = |(at, EnvelopeSignatureMessage { sig, keyid })| {
            let sig = given(sig, "sig").map_err(|error| within("signatures", at, error).at("envelope"))?;
            Ok(EnvelopeSignature { sig, keyid })
        };
        let envelope = Envelope {
            payload: envelope.payload,
            payload_type: envelope.payload_type,
            signatures: envelope
                .signatures
                .into_iter()
                .enumerate()
                .map(signature)
                .collect::<Result<_, JsonError>>()?,
        };
        let verifier = |(at, verifier): (usize, VerifierMessage)| {
            verifier.read().map_err(|error| within("verifiers", at, error))
        };
        let verifiers = self.verifiers.into_iter().enumerate().map(verifier).collect::<Result<_, _>>()?;
        Ok(bundle::CreateEntryRequest::Dsse(DsseRequest { envelope, verifiers }))
    }
}

fn within(list: &str, at: usize, error: JsonError) -> JsonError {
    error.at(&format!("[{at}]")).at(list)
}

/// `dev.sigstore.rekor.v1.TransparencyLogEntry`. Neither a time nor a promise is ever ours.
#[derive(Clone, PartialEq, Message)]
struct TransparencyLogEntry {
    #[prost(uint64, tag = "1")]
    log_index: u64,
    #[prost(message, optional, tag = "2")]
    log_id: Option<LogId>,
    #[prost(message, optional, tag = "3")]
    kind_version: Option<KindVersion>,
    #[prost(message, optional, tag = "6")]
    inclusion_proof: Option<InclusionProof>,
    #[prost(bytes, tag = "7")]
    canonicalized_body: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct LogId {
    #[prost(bytes, tag = "1")]
    key_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct KindVersion {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct InclusionProof {
    #[prost(uint64, tag = "1")]
    log_index: u64,
    #[prost(bytes, tag = "2")]
    root_hash: Vec<u8>,
    #[prost(uint64, tag = "3")]
    tree_size: u64,
    #[prost(bytes, repeated, tag = "4")]
    hashes: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    checkpoint: Option<Checkpoint>,
}

#[derive(Clone, PartialEq, Message)]
struct Checkpoint {
    #[prost(string, tag = "1")]
    envelope: String,
}

impl From<bundle::TransparencyLogEntry> for TransparencyLogEntry {
    fn from(entry: bundle::TransparencyLogEntry) -> Self {
        let bundle::KindVersion { kind, version } = entry.kind_version;
        let inclusion_proof = entry.inclusion_proof.map(|proof| InclusionProof {
            log_index: proof.log_index,
            root_hash: proof.root_hash.to_vec(),
            tree_size: proof.tree_size,
            hashes: proof.hashes.iter().map(|hash| hash.to_vec()).collect(),
            checkpoint: Some(Checkpoint { envelope: proof.checkpoint }),
        });
        Self {
            log_index: entry.log_index,
            log_id: Some(LogId { key_id: entry.log_id }),
            kind_version: Some(KindVersion { kind, version }),
            inclusion_proof,
            canonicalized_body: entry.canonicalized_body,
        }
    }
}
