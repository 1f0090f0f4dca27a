//! One process with its log in a bucket of each S3 server, and a server that may have none.

use super::{
    fleet::{Fleet, Machine, sealogd},
    load::Load,
    s3::S3,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);

async fn works(s3: S3) {
    let fleet = Fleet::new();
    let machine: Machine = fleet.sequencer("one", &s3.endpoint(), false, None);
    let mut process = machine.start();
    let load = Load::start(&[&machine.url], machine.verifier());
    load.goes_on(300, LIMIT).await;
    let first = load.reckon().await;
    // Killed, and taken up again.
    process.signal("-KILL");
    process.ends_within(LIMIT).await;
    let mut process = machine.start();
    let load = Load::start(&[&machine.url], machine.verifier());
    load.goes_on(300, LIMIT).await;
    let second = load.reckon().await;
    process.signal("-TERM");
    assert_eq!(process.ends_within(LIMIT).await, Some(0), "{first}; {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_kept_in_versitygw() {
    let Some(s3) = S3::versitygw() else { return };
    works(s3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_kept_in_moto() {
    let Some(s3) = S3::moto() else { return };
    works(s3).await;
}

#[test]
fn no_log_is_made_where_conditional_writes_are_not_atomic() {
    let Some(s3) = S3::s3s_fs() else { return };
    let fleet = Fleet::new();
    let machine = fleet.unmade("one", &s3.endpoint());
    let output = sealogd(&machine, "init");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no log may be kept there"), "{said}");
    assert!(said.contains("s3://"), "{said}");
}
