//! What `sealog verify` takes: files, directories, lists, several bundles, pipes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "inputs/odd.rs"]
mod odd;
mod signed;

use sealog_crypto::HashAlgorithm;
use signed::{Home, SIGNER, Screen, bundle, hex, policy, row, sha256, statement};
use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

/// What varies from run to run, and what says who and when.
fn heads(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("  ") && !line.starts_with("hint")).collect()
}

#[test]
fn many_files_are_told_one_by_one_and_counted() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    home.put("b.txt", "b.txt");
    home.put_file("c.txt", "c.txt");
    home.write("b.txt", "changed\n");
    let screen = home.verify("a.txt b.txt c.txt none.txt");
    assert_eq!(heads(&screen.0), ["`a.txt` is verified"]);
    assert_eq!(
        heads(&screen.1),
        [
            "error: `b.txt` is not the file this bundle was made for",
            "error: there is no bundle for `c.txt`",
            "error: `none.txt` does not exist",
            "1 verified, 1 refused, 2 not checked",
        ]
    );
    assert_eq!(screen.2, 1);
    let rows = [
        row("a.txt", "verified", ""),
        row("b.txt", "not-verified", "digest"),
        row("c.txt", "not-checked", "no-bundle"),
        row("none.txt", "not-checked", "input"),
    ];
    assert_eq!(home.json("a.txt b.txt c.txt none.txt"), (rows.to_vec(), 1));
    // Programs count for themselves; one file is not counted.
    assert!(!home.verify("a.txt b.txt --json").1.contains("1 verified"));
    assert_eq!(home.verify("a.txt").1, "");
    assert_eq!(home.verify("a.txt c.txt").2, 3);
}

#[test]
fn a_verdict_says_which_bundle_it_rests_on() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    let screen = home.verify("a.txt --json");
    let line: serde_json::Value = serde_json::from_str(&screen.0).unwrap();
    assert_eq!(line["bundle"], "a.txt.sigstore.json");
    assert_eq!(line["bundle_line"], serde_json::Value::Null);
    assert_eq!(line["checked"], "file");
    let keys: Vec<_> =
        ["file", "verdict", "identity", "issuer", "signed_at", "time_source", "log", "log_index", "error"]
            .iter()
            .map(|key| screen.0.find(&format!("\"{key}\":")).unwrap())
            .collect();
    assert!(keys.is_sorted(), "{}", screen.0);
}

#[test]
fn a_directory_is_checked_whole_and_in_order() {
    let home = Home::new();
    home.put("a.txt", "d/a.txt");
    home.put("b.txt", "d/sub/b.txt");
    home.put("c.txt", "d/z.txt");
    let (rows, status) = home.json("d");
    let all =
        [row("d/a.txt", "verified", ""), row("d/sub/b.txt", "verified", ""), row("d/z.txt", "verified", "")];
    assert_eq!((rows, status), (all.to_vec(), 0));
    assert_eq!(home.verify("d").1, "3 verified\n");

    home.put_file("a.txt", "d/sub/unsigned");
    home.write("d/sub/gone.sigstore.json", bundle("a.txt"));
    home.write("d/a.txt.sigstore.json.sigstore.json", bundle("a.txt"));
    home.write("d/z.txt", "changed");
    let (rows, status) = home.json("d");
    let all = [
        row("d/a.txt", "verified", ""),
        row("d/a.txt.sigstore.json.sigstore.json", "not-checked", "no-file"),
        row("d/sub/b.txt", "verified", ""),
        row("d/sub/gone.sigstore.json", "not-checked", "no-file"),
        row("d/sub/unsigned", "not-checked", "no-bundle"),
        row("d/z.txt", "not-verified", "digest"),
    ];
    assert_eq!((rows, status), (all.to_vec(), 1));
    let screen = home.verify("d");
    assert_eq!(
        heads(&screen.1),
        [
            "error: `d/a.txt.sigstore.json.sigstore.json` is the bundle of a bundle; bundles are not checked themselves",
            "error: `d/sub/gone.sigstore.json` is the bundle of `d/sub/gone`, and there is no such file",
            "error: there is no bundle for `d/sub/unsigned`",
            "error: `d/z.txt` is not the file this bundle was made for",
            "2 verified, 1 refused, 3 not checked",
        ]
    );
}

#[test]
fn many_files_are_told_in_order_whoever_is_done_first() {
    let home = Home::new();
    let mut expected = Vec::new();
    for number in 0..300 {
        let name = format!("d/{number:03}");
        // Every tenth takes longer, every seventh is another file.
        home.put("a.txt", &name);
        let verdict = match number {
            _ if number % 10 == 0 => {
                home.write(&name, vec![0; 1 << 20]);
                row(&name, "not-verified", "digest")
            }
            _ if number % 7 == 0 => {
                fs::remove_file(home.path(&name)).unwrap();
                row(&format!("{name}.sigstore.json"), "not-checked", "no-file")
            }
            _ => row(&name, "verified", ""),
        };
        expected.push(verdict);
    }
    assert_eq!(home.json("d"), (expected, 1));
    assert!(home.verify("d").1.ends_with("\n232 verified, 30 refused, 38 not checked\n"));
}

#[test]
fn an_empty_directory_is_not_a_good_one() {
    let home = Home::new();
    fs::create_dir_all(home.path("d/e")).unwrap();
    assert_eq!(
        home.verify("d"),
        Screen(String::new(), "error: the directory `d` holds no files\n".to_owned(), 3)
    );
    let screen = home.verify("d --bundle b.json");
    assert_eq!((screen.0.as_str(), screen.2), ("", 3));
}

#[cfg(unix)]
#[test]
fn nothing_in_a_directory_is_passed_over_in_silence() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = Home::new();
    home.put("a.txt", "d/a.txt");
    home.put("b.txt", "elsewhere/b.txt");
    symlink("../elsewhere", home.path("d/link")).unwrap();
    symlink(".", home.path("d/loop")).unwrap();
    symlink("nowhere", home.path("d/broken")).unwrap();
    symlink("a.txt", home.path("d/same")).unwrap();
    home.write("d/same.sigstore.json", bundle("a.txt"));
    home.write("d/closed/x", "x");
    let pipe = home.path("d/pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let as_root = fs::read_dir("/root").is_ok();
    fs::set_permissions(home.path("d/closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let (rows, status) = home.json("d");
    fs::set_permissions(home.path("d/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    // The superuser can read every directory.
    let closed = if as_root {
        row("d/closed/x", "not-checked", "no-bundle")
    } else {
        row("d/closed", "not-checked", "input")
    };
    let all = [
        row("d/a.txt", "verified", ""),
        row("d/broken", "not-checked", "input"),
        closed,
        row("d/link", "not-checked", "link"),
        row("d/loop", "not-checked", "link"),
        row("d/pipe", "not-checked", "input"),
        row("d/same", "verified", ""),
    ];
    assert_eq!((rows, status), (all.to_vec(), 3));
    // What is named is followed.
    assert_eq!(home.json("d/link"), (vec![row("d/link/b.txt", "verified", "")], 0));
    let screen = home.verify("d");
    let said = "error: `d/link` is a link to a directory, which is not followed\n\
                hint: name the link itself to check what is behind it\n";
    assert!(screen.1.contains(said), "{}", screen.1);
    assert!(screen.1.contains("error: `d/pipe` is neither a file nor a directory\n"), "{}", screen.1);
}

#[test]
fn a_list_names_what_is_checked() {
    let home = Home::new();
    home.put("a.txt", "dist/a.txt");
    home.write("dist/b.txt.sigstore.json", bundle("b.txt"));
    home.put("c.txt", "dist/c d.txt");
    let list = format!(
        "{} *a.txt\r\nSHA256 (b.txt) = {}\n{}  c d.txt\n",
        sha256("a.txt"),
        sha256("b.txt"),
        sha256("c.txt")
    );
    home.write("dist/SHA256SUMS", list);
    let screen = home.verify("--checksums dist/SHA256SUMS");
    let verified = [
        "`dist/a.txt` is verified",
        "`dist/b.txt` is not there; its digest in `dist/SHA256SUMS` is verified",
        "`dist/c d.txt` is verified",
    ];
    assert_eq!(heads(&screen.0), verified);
    assert!(
        screen.0.contains("checked    the file, which has the digest in dist/SHA256SUMS\n"),
        "{}",
        screen.0
    );
    assert!(
        screen.0.contains("checked    the digest in dist/SHA256SUMS; the file is not there\n"),
        "{}",
        screen.0
    );
    assert_eq!((screen.1.as_str(), screen.2), ("3 verified\n", 0));
    let line = home.verify("--checksums dist/SHA256SUMS --json").0;
    let checked: Vec<_> = line.lines().map(|line| line.contains(r#","checked":"file"}"#)).collect();
    assert_eq!(checked, [true, false, true]);
}

#[test]
fn a_listed_file_must_have_the_listed_digest() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    home.write("SUMS", format!("{}  a.txt\n", sha256("b.txt")));
    let screen = home.verify("--checksums SUMS");
    assert_eq!(
        screen,
        Screen(
            String::new(),
            format!(
                "error: `a.txt` is not the file that `SUMS` lists\n  expected  sha256:{} (line 1)\n  \
                 found     sha256:{} (computed from the file)\n\
                 hint: the file changed after the list was made, or the list is of another release\n",
                sha256("b.txt"),
                sha256("a.txt")
            ),
            1
        )
    );
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "checksum")], 1));
    // A digest that nobody signed, of a file that is not there.
    fs::remove_file(home.path("a.txt")).unwrap();
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "digest")], 1));
    // By another algorithm than the bundle's: the file decides, and without it nothing can be said.
    home.write("SUMS", format!("SHA512 (a.txt) = {}\n", hex("a.txt", HashAlgorithm::Sha512)));
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "digest")], 1));
    home.put_file("a.txt", "a.txt");
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "verified", "")], 0));
    let both = format!(
        "SHA256 (a.txt) = {}\nSHA512 (a.txt) = {}\n",
        sha256("a.txt"),
        hex("b.txt", HashAlgorithm::Sha512)
    );
    home.write("SUMS", both);
    assert_eq!(home.json("--checksums SUMS"), (vec![row("a.txt", "not-verified", "checksum")], 1));
}

#[test]
fn a_list_that_is_none_is_refused_whole() {
    let home = Home::new();
    home.put("a.txt", "a.txt");
    let good = sha256("a.txt");
    let hint = "hint: nothing was checked; is this the list you meant?\n";
    for (list, words) in [
        (format!("{good}  a.txt\n<html>\n"), "line 2 of `SUMS` is not a digest and a name"),
        (
            format!("{good}  ../a.txt\n"),
            "line 1 of `SUMS` names `../a.txt`, which is not below the list's directory",
        ),
        (format!("{good}  a.txt\n{good}  ./a.txt\n"), "line 2 of `SUMS` names `a.txt` again, after line 1"),
        (
            "d41d8cd98f00b204e9800998ecf8427e  a.txt\n".to_owned(),
            "line 1 of `SUMS` has a digest that is not SHA-256, SHA-384 or SHA-512",
        ),
    ] {
        home.write("SUMS", list);
        assert_eq!(
            home.verify("--checksums SUMS"),
            Screen(String::new(), format!("error: {words}\n{hint}"), 3)
        );
    }
    home.write("SUMS", "# nothing\n\n");
    assert_eq!(
        home.verify("--checksums SUMS"),
        Screen(String::new(), "error: `SUMS` lists nothing\n".to_owned(), 3)
    );
    assert_eq!(home.json("--checksums SUMS"), (vec![row("SUMS", "not-checked", "checksums")], 3));
    assert_eq!(home.verify("--checksums none").2, 3);
    let screen = home.verify("--checksums SUMS --bundle b.json");
    assert!(screen.1.starts_with("error: --bundle is for a single artifact"), "{}", screen.1);
    assert_eq!(screen.2, 2);
}

#[test]
fn one_of_several_bundles_is_enough() {
    let home = Home::new();
    home.put_file("a.txt", "a.txt");
    for (name, of) in [("a.json", "a.txt"), ("b.json", "b.txt"), ("c.json", "c.txt")] {
        home.write(name, bundle(of));
    }
    let screen = home.verify("a.txt --bundle b.json --bundle a.json --bundle c.json");
    assert_eq!((heads(&screen.0), screen.2), (vec!["`a.txt` is verified"], 0));
    assert!(screen.0.ends_with("  bundle     a.json\n"), "{}", screen.0);

    let screen = home.verify("a.txt --bundle b.json --bundle c.json");
    assert_eq!((screen.0.as_str(), screen.2), ("", 1));
    assert!(
        screen.1.contains("  bundle    b.json  (the most telling of 2; none of them verifies)\n"),
        "{}",
        screen.1
    );

    // One bundle on each line; what is none there does not take from the others.
    let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    let lines =
        [line(bundle("b.txt")), "{}".to_owned(), String::new(), line(statement()), line(bundle("a.txt"))];
    home.write("a.txt.sigstore.jsonl", lines.join("\n"));
    let screen = home.verify("a.txt");
    assert_eq!((heads(&screen.0), screen.2), (vec!["`a.txt` is verified"], 0));
    assert!(screen.0.contains("  bundle     a.txt.sigstore.jsonl, line 4\n"), "{}", screen.0);
    let json = home.verify("a.txt --json").0;
    assert!(json.contains(r#""bundle":"a.txt.sigstore.jsonl","bundle_line":4,"checked":"file"}"#), "{json}");

    home.write("a.txt.sigstore.jsonl", [line(bundle("b.txt")), "{}".to_owned()].join("\r\n"));
    let screen = home.verify("a.txt");
    assert!(screen.1.contains("  bundle    a.txt.sigstore.jsonl, line 1  (the most"), "{}", screen.1);
    // Another signer says more than another file.
    let output = home.command(
        &policy(["a.txt", "--bundle", "b.json", "--bundle", "a.json"].map(OsStr::new).into_iter())
            .into_iter()
            .map(|word| if word == SIGNER { OsStr::new("bob@example.org") } else { word })
            .collect::<Vec<_>>(),
    );
    let mut output = output;
    let output = output.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: `a.txt` is signed, but not by who you named\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn too_many_bundles_are_not_judged() {
    let home = Home::new();
    home.put_file("a.txt", "a.txt");
    home.write("a.txt.sigstore.jsonl", "{}\n".repeat(300));
    assert_eq!(home.json("a.txt"), (vec![row("a.txt", "not-checked", "too-many-bundles")], 3));
}

#[cfg(unix)]
#[test]
fn pipes_and_standard_input_are_read_once() {
    let home = Home::new();
    home.put_file("a.txt", "a.txt");
    home.write("a.json", bundle("a.txt"));
    let feed = |args: &[&str], input: &[u8]| {
        let mut command = home.command(&policy(args.iter().map(OsStr::new)));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    };
    for name in ["-", "/dev/stdin"] {
        let (out, err, status) = feed(&[name, "--bundle", "a.json"], b"a.txt\n");
        assert_eq!(
            (heads(&out), err.as_str(), status),
            (vec![format!("`{name}` is verified").as_str()], "", 0)
        );
        let (out, err, status) = feed(&[name, "--bundle", "a.json"], b"other\n");
        assert_eq!((out.as_str(), status), ("", 1), "{err}");
    }
    let (_, err, status) = feed(&["-"], b"a.txt\n");
    assert_eq!(err, "error: standard input has no bundle beside it\nhint: give the bundle with --bundle\n");
    assert_eq!(status, 2);
    assert_eq!(feed(&["-", "--bundle", "-"], b"").2, 2);
    let bundle = bundle("a.txt");
    assert_eq!(feed(&["a.txt", "--bundle", "-"], &bundle).2, 0);
    let list = format!("{}  a.txt\n", sha256("a.txt"));
    home.write("a.txt.sigstore.json", &bundle);
    assert_eq!(feed(&["--checksums", "-"], list.as_bytes()).2, 0);

    let made = Command::new("mkfifo").arg(home.path("pipe")).status().unwrap();
    assert!(made.success());
    let pipe = home.path("pipe");
    let writer = std::thread::spawn(move || fs::write(pipe, "a.txt\n").unwrap());
    let screen = home.verify("pipe --bundle a.json");
    writer.join().unwrap();
    assert_eq!((heads(&screen.0), screen.2), (vec!["`pipe` is verified"], 0));
    // Without a bundle nothing is taken out of it, and nobody waits for it.
    assert_eq!(home.json("pipe"), (vec![row("pipe", "not-checked", "no-bundle")], 3));
}

#[test]
fn names_may_begin_with_a_dash() {
    let home = Home::new();
    home.put("a.txt", "--json");
    let screen = home.verify("-- --json");
    assert_eq!((heads(&screen.0), screen.2), (vec!["`--json` is verified"], 0));
    home.put("a.txt", "-");
    assert_eq!(home.verify("./-").2, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::new();
    let name = OsStr::from_bytes(b"d/\xff\x1b[2J");
    home.put("a.txt", "d/x");
    fs::rename(home.path("d/x"), home.0.path().join(name)).unwrap();
    let mut beside = name.to_owned();
    beside.push(".sigstore.json");
    fs::rename(home.path("d/x.sigstore.json"), home.0.path().join(&beside)).unwrap();
    let shown = "`d/\u{fffd}\\u{1b}[2J` is verified";
    let screen = home.run(&policy([name].into_iter()));
    assert_eq!((heads(&screen.0), screen.2), (vec![shown], 0));
    assert_eq!(heads(&home.verify("d").0), [shown]);
    let mut list = format!("{}  ", sha256("a.txt")).into_bytes();
    list.extend_from_slice(b"\xff\x1b[2J\n");
    home.write("d/SUMS", list);
    assert_eq!(heads(&home.verify("--checksums d/SUMS").0), [shown]);
}

#[test]
fn a_digest_in_another_spelling_is_told_how_to_spell_it() {
    let home = Home::new();
    home.write("b.json", bundle("a.txt"));
    let hex = sha256("a.txt");
    for (typed, spelled) in [
        (hex.clone(), true),
        (format!("SHA256:{hex}"), true),
        (format!("Sha256:{}", hex.to_uppercase()), true),
        (hex[1..].to_owned(), false),
        (format!("md5:{hex}"), false),
    ] {
        for options in ["", " --bundle b.json"] {
            let screen = home.verify(&format!("{typed}{options}"));
            let hint = format!("hint: a digest is given as sha256:{hex}\n");
            assert_eq!((screen.1.contains(&hint), screen.2), (spelled, 3), "{typed}: {}", screen.1);
        }
    }
}

#[test]
fn a_name_with_backticks_does_not_read_like_our_words() {
    let home = Home::new();
    home.put("a.txt", "evil` is verified, `x");
    home.write("evil` is verified, `y", "unsigned");
    let verified = home.run(&policy([OsStr::new("evil` is verified, `x")].into_iter()));
    assert_eq!(heads(&verified.0), ["`evil\\u{60} is verified, \\u{60}x` is verified"]);
    let unsigned = home.run(&policy([OsStr::new("evil` is verified, `y")].into_iter()));
    let said = "error: there is no bundle for `evil\\u{60} is verified, \\u{60}y`\n";
    assert!(unsigned.1.starts_with(said), "{}", unsigned.1);
}
