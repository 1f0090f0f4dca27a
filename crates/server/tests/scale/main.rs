//! Logs in buckets as their operators run them: real processes, real S3 servers, and what goes wrong between them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

mod certificates;
mod fail_over;
mod fleet;
mod grpc;
mod load;
mod one_process;
mod periods;
mod s3;
#[path = "../support/grpc.rs"]
mod wire;
