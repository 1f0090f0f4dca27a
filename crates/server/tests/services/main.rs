//! The services as strangers see them: real sockets, OpenSSL as the client, an issuer of our own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

mod ca;
mod ctlog;
mod floods;
mod grpc;
mod harness;
mod hostile;
mod openssl;
mod operator;
mod rekor;
mod tsa;
