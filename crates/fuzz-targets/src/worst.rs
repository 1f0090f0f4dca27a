//! Inputs made to be slow: for each parser those of a mebibyte that make it do most, or the most it reads.
//!
//! What has to be signed to get far is made in the program `worst`, which has a virtual Sigstore.

use crate::der::{append_extension, element};
use crate::good::world;
use sealog_crypto::{PublicKey, sha256};
use sealog_tlog::note::{KeyType, KeyVerifier};

/// What is sent when time is measured: a mebibyte.
pub const MEBIBYTE: usize = 1 << 20;
/// Certificates are read up to this.
const CERTIFICATE: usize = 1 << 16;
/// Timestamp responses are read up to this.
const RESPONSE: usize = 1 << 18;
/// Notes are read up to this.
const NOTE: usize = 1 << 16;
/// Policies are read up to this.
const POLICY: usize = 1 << 18;

/// An input for a target.
pub struct Slow {
    /// The target.
    pub target: &'static str,
    /// What is slow about it.
    pub what: String,
    /// The bytes.
    pub input: Vec<u8>,
}

fn fill(unit: &str, room: usize) -> String {
    unit.repeat(room / unit.len())
}

fn names(room: usize, name: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(room + 100);
    let mut at = 0;
    while text.len() < room {
        text.push_str(&format!("\"{}\":0,", name(at)));
        at += 1;
    }
    text
}

/// Documents that are slow for every reader of JSON; `{}` is where a document's own fields begin.
fn any_json(size: usize) -> Vec<(&'static str, String)> {
    let room = size - 64;
    vec![
        ("arrays in each other", "[".repeat(size)),
        ("objects in each other", fill("{\"a\":", room)),
        (
            "64 levels again and again",
            format!("[{}0]", fill(&format!("{}{},", "[".repeat(62), "]".repeat(62)), room)),
        ),
        ("empty arrays", format!("[{}0]", fill("[],", room))),
        ("arrays of one", format!("[{}0]", fill("[0],", room))),
        ("objects of one", format!("[{}0]", fill("{\"\":0},", room))),
        ("zeros", format!("[{}0]", fill("0,", room))),
        ("empty texts", format!("[{}0]", fill("\"\",", room))),
        ("names", format!("{{{}\"x\":0}}", names(room, |at| at.to_string()))),
        (
            "long names that differ at the end",
            format!("{{{}\"x\":0}}", names(room, |at| format!("{}{at}", "n".repeat(500)))),
        ),
        ("one name again and again", format!("{{{}\"x\":0}}", names(room, |_| "n".into()))),
        ("a name twice at the end", format!("{{{}\"0\":0}}", names(room, |at| at.to_string()))),
        ("escaped names", format!("{{{}\"x\":0}}", names(room, |at| format!("\\u0041\\n{at}")))),
        ("a long number", "1".repeat(size)),
        ("a long fraction", format!("0.{}", "1".repeat(room))),
        ("a large exponent", format!("1e{}", "9".repeat(room))),
        ("numbers that are hard to read", format!("[{}0]", fill("2.2250738585072011e-308,", room))),
        ("large numbers", format!("[{}0]", fill("18446744073709551616,", room))),
        ("escapes", format!("\"{}\"", fill("\\u0041", room))),
        ("surrogates", format!("\"{}\"", fill("\\ud83d\\ude00", room))),
        ("control characters", format!("\"{}\"", fill("\\n", room))),
        ("a long text", format!("\"{}\"", fill("x", room))),
        ("text outside ASCII", format!("\"{}\"", fill("é", room))),
        ("white space", " ".repeat(size)),
    ]
}

/// A document's own fields, made long.
fn own_json(size: usize) -> Vec<(&'static str, &'static str, String)> {
    let room = size - 2048;
    let head = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","#;
    let base64 = fill("AAAA", room);
    let lines = fill("AAA\\n", room);
    let entry = |body: &str| {
        format!(
            r#"{{"logIndex":"1","logId":{{"keyId":"AAAA"}},"kindVersion":{{"kind":"dsse","version":"0.0.1"}},"inclusionProof":{{"logIndex":"1","rootHash":"{h}","treeSize":"2","hashes":[{hs}"{h}"],"checkpoint":{{"envelope":"x"}}}},"canonicalizedBody":"{body}"}}"#,
            h = "A".repeat(43),
            hs = format!("\"{}\",", "A".repeat(43)).repeat(63),
        )
    };
    let each = (room / 32).saturating_sub(4096);
    let entries = (0..32).map(|_| entry(&fill("AAAA", each))).collect::<Vec<_>>().join(",");
    let material =
        |inside: &str| format!(r#""verificationMaterial":{{"certificate":{{"rawBytes":"AAAA"}}{inside}}}"#);
    let message = r#""messageSignature":{"signature":"AAAA"}"#;
    let stamps = (0..32)
        .map(|_| format!(r#"{{"signedTimestamp":"{}"}}"#, fill("AAAA", room / 32 - 64)))
        .collect::<Vec<_>>()
        .join(",");
    let subject = |at: usize| {
        let digests =
            (0..10).map(|n| format!(r#""d{n}":"{}""#, "ab".repeat(32))).collect::<Vec<_>>().join(",");
        format!(r#"{{"name":"{at}","digest":{{{digests},"sha256":"{}"}}}}"#, "cd".repeat(32))
    };
    let subjects = (0..1024).map(subject).collect::<Vec<_>>().join(",");
    let authority = |room: usize| {
        let certificates = vec![format!(r#"{{"rawBytes":"{}"}}"#, fill("AAAA", room / 16)); 16].join(",");
        format!(
            r#"{{"subject":{{}},"uri":"u","certChain":{{"certificates":[{certificates}]}},"validFor":{{"start":"2020-01-01T00:00:00Z"}}}}"#
        )
    };
    let authorities = vec![authority((room / 256).saturating_sub(700)); 256].join(",");
    let hashed = |signature: &str| {
        format!(
            r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"SHA2_256","digest":"{}="}},"signature":{{"content":"{signature}","verifier":{{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{{"rawBytes":"AAAA"}}}}}}}}}}}}"#,
            "A".repeat(43)
        )
    };
    let payload_hash = format!(r#"{{"algorithm":"sha256","value":"{}"}}"#, "ab".repeat(32));
    let dsse = |signatures: &str| {
        format!(
            r#"{{"apiVersion":"0.0.1","kind":"dsse","spec":{{"payloadHash":{payload_hash},"signatures":[{signatures}]}}}}"#
        )
    };
    let signatures =
        vec![format!(r#"{{"signature":"{}","verifier":"AAAA"}}"#, fill("AAAA", room / 32 - 64)); 32]
            .join(",");
    let times = fill("\"2020-01-01T00:00:00.000000001Z\",", room);
    vec![
        (
            "bundle",
            "a long signature",
            format!("{head}{},\"messageSignature\":{{\"signature\":\"{base64}\"}}}}", material("")),
        ),
        (
            "bundle",
            "a signature in lines",
            format!("{head}{},\"messageSignature\":{{\"signature\":\"{lines}\"}}}}", material("")),
        ),
        (
            "bundle",
            "a payload of escapes",
            format!(
                "{head}{},\"dsseEnvelope\":{{\"payload\":\"{}\",\"payloadType\":\"x\",\"signatures\":[]}}}}",
                material(""),
                fill("\\u0041", room)
            ),
        ),
        (
            "bundle",
            "32 entries with long bodies and paths",
            format!("{head}{},{message}}}", material(&format!(r#","tlogEntries":[{entries}]"#))),
        ),
        (
            "bundle",
            "empty entries",
            format!(
                "{head}{},{message}}}",
                material(&format!(r#","tlogEntries":[{}{{}}]"#, fill("{},", room)))
            ),
        ),
        (
            "bundle",
            "32 long timestamps",
            format!(
                "{head}{},{message}}}",
                material(&format!(r#","timestampVerificationData":{{"rfc3161Timestamps":[{stamps}]}}"#))
            ),
        ),
        ("bundle", "unknown fields", format!("{head}{}\"x\":0}}", names(room, |at| at.to_string()))),
        ("bundle", "a long media type", format!(r#"{{"mediaType":"{}"}}"#, fill("x", room))),
        (
            "bundle",
            "a log's answer with unknown fields",
            format!("{{{}{}", names(room, |at| at.to_string()), &entry("AAAA")[1..]),
        ),
        (
            "statement",
            "1024 subjects",
            format!(r#"{{"_type":"t","subject":[{subjects}],"predicateType":"p"}}"#),
        ),
        (
            "statement",
            "one subject with many digests",
            format!(
                r#"{{"_type":"t","subject":[{{"digest":{{{}"x":0}}}}]}}"#,
                names(room, |at| at.to_string())
            ),
        ),
        (
            "statement",
            "a long predicate",
            format!(r#"{{"_type":"t","subject":[],"predicate":[{}0]}}"#, fill("[0],", room)),
        ),
        (
            "trusted_root",
            "256 authorities with 16 certificates",
            format!(
                r#"{{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{authorities}]}}"#
            ),
        ),
        (
            "trusted_root",
            "a list of times",
            format!(
                r#"{{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{times}0]}}"#
            ),
        ),
        ("entry_body", "a long signature", hashed(&base64)),
        ("entry_body", "32 long signatures", dsse(&signatures)),
        ("entry_body", "empty signatures", dsse(&format!("{}{{}}", fill("{},", room)))),
        (
            "entry_body",
            "an unknown kind",
            format!(r#"{{"apiVersion":"1","kind":"x","spec":[{}0]}}"#, fill("[0],", room)),
        ),
    ]
}

/// A certificate of the world with an extension added.
fn with_extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    let leaf = world().bundles.first().and_then(|example| example.bundle.material.key.leaf());
    let extension = element(0x30, &[element(0x06, oid), element(0x04, value)].concat());
    leaf.and_then(|leaf| append_extension(leaf, &extension)).unwrap_or_default()
}

/// An object identifier that ends in this number.
fn numbered(oid: &[u8], at: usize) -> Vec<u8> {
    let (high, low) = (u8::try_from(at / 128 % 128).unwrap_or(0), u8::try_from(at % 128).unwrap_or(0));
    [oid, &[0x80 | high, low]].concat()
}

fn certificates(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let leaf = world().bundles.first().and_then(|example| example.bundle.material.key.leaf());
    let leaf = leaf.unwrap_or_default();
    let room = CERTIFICATE - leaf.len() - 64;
    let list = |unit: &[u8], room: usize| element(0x30, &unit.repeat(room / unit.len()));
    let mut many = leaf.to_vec();
    for at in 0..116 {
        let value = element(0x04, &vec![0; room / 128]);
        let extension = element(0x30, &[element(0x06, &numbered(&[0x2a, 0x03], at)), value].concat());
        many = append_extension(&many, &extension).unwrap_or(many);
    }
    let mut more = leaf.to_vec();
    for at in 0..4000 {
        let extension =
            element(0x30, &[element(0x06, &numbered(&[0x2a, 0x03], at)), element(0x04, &[])].concat());
        more.extend(extension);
    }
    // Many extensions at once: what `append_extension` takes apart each time would be slow here.
    let extensions: Vec<u8> = more.get(leaf.len()..).unwrap_or_default().to_vec();
    let flood = append_extension(leaf, &extensions).unwrap_or_default();
    let key_usage_arc = [0x55, 0x1d];
    let known = |number: u8| [key_usage_arc.as_slice(), &[number]].concat();
    let mut nested = vec![0x30, 0x00];
    while nested.len() < room {
        nested = element(0x30, &nested);
    }
    let sct = [vec![0; 43], vec![4, 3, 0, 0]].concat();
    let sct = [vec![0, 47], sct].concat();
    let scts = sct.repeat(1000);
    let scts = [u16::try_from(scts.len()).unwrap_or(0).to_be_bytes().to_vec(), scts].concat();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        fill(&("A".repeat(64) + "\n"), 400)
    );
    let leaf_pem = sealog_pki::Certificate::from_der(leaf).map(|leaf| leaf.to_pem()).unwrap_or_default();
    vec![
        ("116 extensions more", many),
        ("4000 extensions more", flood),
        ("names in another extension", with_extension(&known(18), &list(&element(0x81, b"a@b"), room))),
        (
            "name constraints",
            with_extension(
                &known(30),
                &element(0x30, &element(0xa0, &element(0x30, &element(0x81, b"a")).repeat(250))),
            ),
        ),
        (
            "SCTs",
            with_extension(
                &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x03],
                &element(0x04, &scts),
            ),
        ),
        ("sequences in each other", nested.clone()),
        ("sequences in each other, in an extension", with_extension(&[0x2a, 0x03, 0x04], &nested)),
        ("a long object identifier", with_extension(&[0x81; 60_000], &[])),
        ("null elements", element(0x30, &[5, 0].repeat(room / 2))),
        ("a long integer", element(0x30, &element(0x02, &vec![1; room]))),
        ("too long", element(0x30, &vec![0; size])),
        (
            "PEM of lines",
            format!(
                "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n",
                fill(&("A".repeat(64) + "\n"), size - 100)
            )
            .into_bytes(),
        ),
        (
            "PEM of short lines",
            format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", fill("AAAA\n", size - 100))
                .into_bytes(),
        ),
        ("PEM of many blocks", fill(&pem, size).into_bytes()),
        ("PEM of many certificates", fill(&leaf_pem, size).into_bytes()),
        ("PEM of ends", fill("-----END CERTIFICATE-----\n", size).into_bytes()),
        ("PEM of begins", fill("-----BEGIN CERTIFICATE-----\n", size).into_bytes()),
        ("white space", vec![b' '; size]),
    ]
}

fn timestamps(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut nested = vec![0x30, 0x00];
    while nested.len() < RESPONSE - 64 {
        nested = element(0x30, &nested);
    }
    let granted = element(0x30, &element(0x02, &[0]));
    let token = |inside: &[u8]| element(0x30, &[granted.clone(), inside.to_vec()].concat());
    let oid = element(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]);
    let signed = |parts: &[Vec<u8>]| {
        let data = element(0x30, &parts.concat());
        token(&element(0x30, &[oid.clone(), element(0xa0, &data)].concat()))
    };
    let version = element(0x02, &[3]);
    let algorithm = element(0x30, &element(0x06, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]));
    vec![
        ("sequences in each other", nested.clone()),
        ("sequences in each other, in a token", token(&nested)),
        ("digest algorithms", signed(&[version.clone(), element(0x31, &algorithm.repeat(15_000))])),
        ("null elements", element(0x30, &[5, 0].repeat(RESPONSE / 2 - 8))),
        ("too long", element(0x30, &vec![0; size])),
    ]
}

fn notes(size: usize) -> Vec<(&'static str, String)> {
    let root = "A".repeat(43) + "=";
    let note = world().bundles.first().and_then(|example| {
        let proof = example.bundle.material.log_entries.first()?.inclusion_proof.as_ref()?;
        Some(proof.checkpoint.clone())
    });
    let note = note.unwrap_or_default();
    let line = note.lines().last().unwrap_or_default().to_owned() + "\n";
    let long = format!("— a {}\n", "A".repeat(NOTE / 2 - 64));
    vec![
        ("its signature 64 times", format!("{note}{}", line.repeat(63))),
        ("its signature as often as there is room", format!("{note}{}", fill(&line, NOTE - note.len()))),
        ("two long signatures", format!("o\n1\n{root}\n\n{long}{long}")),
        ("blank lines", fill("\n", NOTE)),
        ("extension lines", format!("o\n1\n{root}\n{}\n— a AAAAAAAA\n", fill("x\n", NOTE - 200))),
        ("a long size", format!("o\n{}\n{root}\n\n— a AAAAAAAA\n", "1".repeat(NOTE - 200))),
        ("a long name", format!("o\n1\n{root}\n\n— {} AAAAAAAA\n", "a".repeat(NOTE - 200))),
        ("too long", fill("\n", size)),
        ("a long key", format!("o+00000000+{}\n", fill("AAAA", size - 100))),
    ]
}

fn lists(size: usize) -> Vec<(&'static str, String)> {
    let hex = "0".repeat(64);
    let line = hex.len() + 9;
    let names: String = (0..size / line).map(|number| format!("{hex}  {number:06}\n")).collect();
    vec![
        ("many names", names),
        ("a long name", format!("{hex}  {}\n", "a/".repeat((size - line) / 2))),
        ("a long name, escaped", format!("\\{hex}  a{}\n", fill("\\\\", size - line))),
        ("brackets", format!("SHA256 ({}) = {hex}\n", fill(") = (", size - 2 * line))),
        ("blank lines", fill("\n", size)),
    ]
}

fn keys(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let long = |key: Vec<u8>| [u16::try_from(key.len()).unwrap_or(0).to_be_bytes().to_vec(), key].concat();
    let rsa = |bits: usize| {
        let modulus = element(0x02, &[vec![0], vec![0xff; bits / 8]].concat());
        let inside = element(0x30, &[modulus, element(0x02, &[1, 0, 1])].concat());
        let oid = element(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]);
        let algorithm = element(0x30, &[oid, vec![5, 0]].concat());
        long(element(0x30, &[algorithm, element(0x03, &[vec![0], inside].concat())].concat()))
    };
    let signed = |key: Vec<u8>, length: usize| [key, vec![0x7f; length]].concat();
    vec![
        ("RSA of 8192 bits with a signature", signed(rsa(8192), 1024)),
        ("RSA of 8192 bits with a long signature", signed(rsa(8192), size - 2000)),
        ("RSA of 400000 bits", rsa(400_000)),
        ("a long signature", signed(long(Vec::new()), size)),
        (
            "PEM of short lines",
            long(
                format!("-----BEGIN PUBLIC KEY-----\n{}-----END PUBLIC KEY-----\n", fill("AAAA\n", 65_000))
                    .into_bytes(),
            ),
        ),
    ]
}

/// Keys of as many different witnesses as there is room for.
fn witnesses(room: usize) -> String {
    let spki = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let points = (0_u32..).map(|at| [spki.as_slice(), &sha256(&at.to_be_bytes())].concat());
    // Every other one is a point.
    let keys = points.filter_map(|der| PublicKey::from_spki_der(&der).ok());
    let keys = keys.filter_map(|key| KeyVerifier::new("w", KeyType::Cosignature, key).ok()?.to_vkey());
    let mut text = String::new();
    for key in keys {
        if text.len() > room {
            break;
        }
        text.push_str(&format!("'{key}',"));
    }
    text
}

/// Policies: patterns that are large, that can be read in many ways, and many of them; tables and keys.
fn policies(size: usize) -> Vec<(String, String)> {
    let room = POLICY.min(size) - 256;
    let signers = |tables: &str| format!("version = 1\nsigner = [{tables}]\n");
    let by = |pattern: &str, more: &str| {
        format!("{{ identity-pattern = '{pattern}', issuer = 'https://i.example'{more} }},")
    };
    let mut all = Vec::new();
    for (what, pattern) in [
        ("optional characters", "(.?){1500}@example.org".to_owned()),
        ("optional characters, fewer", "(.?){300}@example.org".to_owned()),
        ("optional letters", format!("(a?){{700}}{}x@example.org", "a".repeat(700))),
        ("optional characters in a row", format!("{}@example.org", ".?".repeat(2000))),
        ("ways that double", format!("{}@example.org", "(a|b)".repeat(500))),
        ("ways that double, without groups", format!("{}@example.org", "(?:a|b)".repeat(500))),
        ("ways that double, in few", format!("{}@example.org", "[ab]".repeat(10))),
        ("many ways", format!("({})@example.org", "ab|".repeat(500))),
        ("many ways, again and again", format!("({}){{8}}@example.org", "ab|".repeat(100))),
        ("groups", format!("{}@example.org", "()".repeat(1900))),
        ("groups in each other", format!("{}a{}@example.org", "(".repeat(48), ")".repeat(48))),
        ("repetitions in each other", format!("{}a{}@example.org", "(?:".repeat(40), "?)*".repeat(40))),
        ("repetitions of repetitions", "(?:(?:a{20}){20}){20}@example.org".to_owned()),
        ("repetitions of nothing", "(?:(?:(?:){50}){50}){4}@example.org".to_owned()),
        ("what takes most", r".{9000}@example.org".to_owned()),
        ("what takes as much as may be", r".{5000}@example.org".to_owned()),
        ("what takes as much as may be, of classes", r"\S{3500}@example.org".to_owned()),
        ("letters", format!("(?i){}@example.org", "k".repeat(4000))),
        ("letters outside ASCII", format!("{}@example.org", "é".repeat(2000))),
        ("classes", format!("{}@example.org", "[a-z0-9_.-]".repeat(300))),
        ("a long class", format!("[{}]{{90}}@example.org", "a-zA-Z".repeat(600))),
        ("white space and a group", format!("(?x){}@example.org", "a # b ".repeat(600))),
        ("a name", "https://github.com/org/.*".to_owned()),
        ("a letter", "a@b.c".to_owned()),
    ] {
        let table = by(&pattern, "");
        let tables = table.repeat((room / table.len()).clamp(1, 250));
        all.push((format!("one pattern: {what}"), signers(&table)));
        all.push((format!("patterns: {what}"), signers(&tables)));
    }
    let extensions = |value: &str| {
        let table = sealog_pki::fulcio_extensions::TABLE.iter();
        let values: Vec<String> = table.map(|row| format!("{} = '{value}'", row.name)).collect();
        by("a@b.c", &format!(", extension-patterns = {{ {} }}", values.join(", ")))
    };
    for (what, value) in [("letters", "a"), ("ways", "[ab][ab][ab][ab][ab]"), ("characters", ".{400}")] {
        let table = extensions(value);
        all.push((format!("extensions: {what}"), signers(&table.repeat((room / table.len()).clamp(1, 250)))));
    }
    let key = "{ key = '-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\\n\
         -----END PUBLIC KEY-----\\n' },"
        .replace('\'', "\"");
    let exact = "{ identity = 'a', issuer = 'b' },";
    for (what, text) in [
        ("keys", signers(&fill(&key, room))),
        ("names", signers(&fill(exact, room))),
        ("names, as many as may be", signers(&exact.repeat(256))),
        ("empty tables", format!("version = 1\n{}", fill("[[signer]]\n", room))),
        ("lists in each other", signers(&fill("{any-of=[", room))),
        (
            "lists in each other, not too deep",
            signers(&fill(&format!("{}{exact}{}", "{any-of=[".repeat(6), "]},".repeat(6)), room)),
        ),
        (
            "witnesses",
            format!(
                "version = 1\nsigner = [{exact}]\n[evidence]\nwitnesses = {{ threshold = 1, keys = [{}] }}\n",
                witnesses(room - 128)
            ),
        ),
        (
            "unknown keys",
            format!("version = 1\n{}", (0..room / 12).map(|at| format!("k{at} = 0\n")).collect::<String>()),
        ),
        ("dotted keys", format!("version = 1\n{}a = 1\n", fill("a.", room))),
        ("arrays in each other", format!("version = 1\na = {}", "[".repeat(room))),
        ("a long text", format!("version = 1\na = '{}'\n", "x".repeat(room))),
        ("escapes", format!("version = 1\na = \"{}\"\n", fill("\\u00e9", room))),
        ("comments", fill("#\n", room)),
        ("lines", "\n".repeat(room)),
        ("one line that ends badly", format!("version = 1\na = '{}", "x".repeat(room))),
        ("too long", "\n".repeat(size.max(POLICY + 1))),
    ] {
        all.push((what.to_owned(), text));
    }
    all
}

/// What the processes of a log tell each other, with as many parts as there can be.
fn messages(size: usize) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let many = (size / 4).saturating_sub(8);
    let entries = many.min(1024);
    let issuers = [&[0, 0, 0, 0, 0][..], &count(many), &vec![0; 4 * many]].concat();
    let refusal = [&b"\x01\0\0\x04\0"[..], &[b'x'; 1024]].concat();
    let told = u8::try_from(size / refusal.len()).unwrap_or(u8::MAX);
    let words = [&[told][..], &count(0), &count(told.into()), &refusal.repeat(told.into())].concat();
    let line = "segment 1 1\n";
    let segments = fill(line, size - 64);
    vec![
        ("relay_request", "entries of nothing", [&count(entries)[..], &vec![0; 4 * entries]].concat()),
        ("relay_request", "a long entry", [&count(1)[..], &count(size), &vec![7; size]].concat()),
        ("relay_request", "issuers of nothing", issuers),
        ("relay_answer", "checkpoints of nothing", [&[255][..], &count(255), &vec![0; size]].concat()),
        (
            "relay_answer",
            "more outcomes than entries",
            [&[255][..], &count(0), &count(size), &vec![4; size]].concat(),
        ),
        ("relay_answer", "refusals", words),
        (
            "head",
            "many records",
            format!("epoch 1\nbeat 0\nsequence 1\ntime 2\nbase 0\n{segments}\nlog\n").into_bytes(),
        ),
        ("head", "lines", vec![b'\n'; size]),
    ]
}

/// All of them, of about this size where the parser reads so much.
#[must_use]
pub fn inputs(size: usize) -> Vec<Slow> {
    let slow = |target, what: &str, input: Vec<u8>| Slow { target, what: what.into(), input };
    let mut inputs = Vec::new();
    for target in ["bundle", "trusted_root", "entry_body", "statement", "json"] {
        inputs.extend(any_json(size).into_iter().map(|(what, text)| slow(target, what, text.into_bytes())));
    }
    inputs
        .extend(own_json(size).into_iter().map(|(target, what, text)| slow(target, what, text.into_bytes())));
    inputs.extend(certificates(size).into_iter().map(|(what, input)| slow("certificate", what, input)));
    inputs.extend(timestamps(size).into_iter().map(|(what, input)| slow("timestamp", what, input)));
    inputs.extend(notes(size).into_iter().map(|(what, text)| slow("checkpoint", what, text.into_bytes())));
    inputs.extend(policies(size).into_iter().map(|(what, text)| slow("policy", &what, text.into_bytes())));
    inputs.extend(lists(size).into_iter().map(|(what, text)| slow("checksums", what, text.into_bytes())));
    inputs.extend(any_json(size).into_iter().map(|(what, text)| slow("inspect", what, text.into_bytes())));
    let described = own_json(size).into_iter().filter(|(target, ..)| *target == "bundle");
    inputs.extend(described.map(|(_, what, text)| slow("inspect", what, text.into_bytes())));
    inputs.extend(messages(size).into_iter().map(|(target, what, input)| slow(target, what, input)));
    inputs.extend(keys(size).into_iter().map(|(what, input)| slow("public_key", what, input)));
    inputs
}
