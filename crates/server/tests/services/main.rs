//! The services as strangers see them: real sockets, OpenSSL as the client, an issuer of our own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

mod authority;
mod aws_kms;
mod ca;
mod ctlog;
mod floods;
mod google_kms;
mod grpc;
mod harness;
mod hostile;
mod hsm;
mod life;
mod openssl;
mod operator;
mod pkcs11;
mod reading;
mod refusals;
mod rekor;
mod rekor_grpc;
mod rotation;
mod shared;
mod tsa;
#[path = "../support/grpc.rs"]
mod wire;
