//! Names and places that a careless program would take for something else.

use super::{Home, bundle, policy, row, sha256};
use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

#[test]
fn a_bundles_name_hides_nothing_in_a_directory() {
    let home = Home::new();
    home.put("a.txt", "d/a.txt");
    home.write("d/a.txt.sigstore", "#!/bin/sh\n");
    let all = [row("d/a.txt", "verified", ""), row("d/a.txt.sigstore", "not-verified", "invalid-bundle")];
    assert_eq!(home.json("d"), (all.to_vec(), 1));
    // What is named is all that is asked about.
    assert_eq!(home.json("d/a.txt"), (all[..1].to_vec(), 0));
}

/// Waits for a run, but not without end.
#[cfg(unix)]
fn ends(home: &Home, line: &str) -> Option<i32> {
    let words = policy(line.split(' ').map(OsStr::new));
    let mut running = home.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..500 {
        if let Some(status) = running.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    None
}

#[cfg(unix)]
#[test]
fn what_was_not_named_is_not_waited_for() {
    use std::os::unix::fs::symlink;
    let home = Home::new();
    let pipe = |name: &str| {
        let path = home.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    // A pipe in a bundle's place, behind a link with a bundle, and in a list.
    home.put_file("a.txt", "d/a.txt");
    pipe("d/a.txt.sigstore.json");
    home.put("b.txt", "e/b.txt");
    pipe("elsewhere/pipe");
    symlink("../elsewhere/pipe", home.path("e/link")).unwrap();
    home.write("e/link.sigstore.json", bundle("b.txt"));
    pipe("f/c.txt");
    home.write("f/c.txt.sigstore.json", bundle("c.txt"));
    home.write("f/SHA256SUMS", format!("{}  c.txt\n", sha256("c.txt")));
    for line in ["d", "d/a.txt", "e", "--checksums f/SHA256SUMS"] {
        assert_eq!(ends(&home, line), Some(3), "{line}");
    }
    let all = [row("e/b.txt", "verified", ""), row("e/link", "not-checked", "input")];
    assert_eq!(home.json("e"), (all.to_vec(), 3));
}

#[test]
fn a_listed_file_called_dash_is_not_standard_input() {
    let home = Home::new();
    home.write("-", "something else");
    home.write("-.sigstore.json", bundle("a.txt"));
    home.write("SHA256SUMS", format!("{}  -\n", sha256("a.txt")));
    let words = policy(["--checksums", "SHA256SUMS", "--json"].into_iter().map(OsStr::new));
    let mut running = home
        .command(&words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The program may be gone before it is written.
    let _ = running.stdin.take().unwrap().write_all(b"a.txt\n");
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
}
