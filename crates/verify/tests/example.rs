//! The program that the front page shows does what it says.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "its `main` is for a terminal")]
#[path = "../examples/verify_file.rs"]
mod verify_file;

use sealog_testkit::{ISSUER, P256, Person, Sigstore, Thing};
use sealog_verify::Verdict;
use std::fs;

#[test]
fn a_whole_program_verifies_a_file() {
    let mut world = Sigstore::new();
    // Longer than one piece.
    let file = "a release\n".repeat(20_000).into_bytes();
    let signed = world.sign(&Person::new("ann@example.org", P256), Thing::File(&file));
    let folder = std::env::temp_dir().join(format!("verify_file-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [app, bundle, root] = ["app", "app.sigstore.json", "root.json"].map(path);
    fs::write(&app, &file).unwrap();
    fs::write(&bundle, signed.bundle.to_json()).unwrap();
    fs::write(&root, world.root.to_json()).unwrap();
    let run = |who: &str, root: &[&str]| {
        verify_file::run(&[&[app.as_str(), &bundle, who, ISSUER], root].concat()).unwrap()
    };
    let (verdict, words) = run("ann@example.org", &[&root]);
    assert_eq!(verdict, Verdict::Verified);
    assert!(words.starts_with(&format!("`{app}` is verified\n")), "{words}");
    assert_eq!(run("bob@example.org", &[&root]).0, Verdict::WrongSigner);
    // Another instance's trusted root: the one that is built in.
    assert_eq!(run("ann@example.org", &[]).0, Verdict::NotVerified);
    fs::write(&app, &file[1..]).unwrap();
    assert_eq!(run("ann@example.org", &[&root]).0, Verdict::NotVerified);
    fs::write(&bundle, "{").unwrap();
    assert_eq!(run("ann@example.org", &[&root]).0, Verdict::NotVerified);
    fs::remove_file(&app).unwrap();
    fs::remove_file(&bundle).unwrap();
    assert!(verify_file::run(&[&app, &bundle, "ann@example.org", ISSUER]).is_err());
    assert!(verify_file::run(&[]).is_err());
    fs::remove_dir_all(&folder).unwrap();
}
