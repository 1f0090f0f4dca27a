//! `sealog verify`: files and a policy in, a verdict for each out. No event loop, no network.
//!
//! What is to be checked ([`inputs`]), with which bundles ([`bundles`]), whether they hold ([`judge`]), how that is
//! told ([`tell`]), and who does the work when there is much of it ([`crew`]).

pub(crate) mod bundles;
pub(crate) mod checksums;
mod crew;
mod inputs;
mod judge;
mod policy;
mod tell;

pub(crate) use bundles::documents;
pub(crate) use tell::rendered;

use crate::{
    args::VerifyArgs,
    artifact,
    failure::{Failure, Status, quoted},
    progress::Show,
    trust,
};
use inputs::{Kind, Subject};
use judge::Believed;
use sealog_bundle::{Bundle, TrustedRoot};
use sealog_crypto::{Digest, HashAlgorithm, PublicKey};
use sealog_verify::{Artifact, Policy, Verified, VerifyError, digests_needed, needs_bytes};
use std::{
    io,
    path::{Path, PathBuf},
};
use tell::{Checked, CheckedBy, Told};

/// Longer key files are not read.
const MAX_KEY_BYTES: usize = 64 << 10;
/// Of longer files only digests are known, which some keys do not sign.
const MAX_WHOLE_BYTES: usize = 64 << 20;
/// The class of a key that is none.
const NO_KEY: &str = "key";

pub(crate) fn verify(args: &VerifyArgs) -> Result<Status, Failure> {
    let mut told = Told::new(args.json);
    let subjects = match inputs::subjects(args) {
        Ok(subjects) => subjects,
        Err(failure) => return told.nothing_checked(&args.bundles.checksums, failure),
    };
    let believed = policy::wanted(&args.signer, &args.evidence)
        .and_then(|policy| Ok(Believed::new(policy, &trust::for_verifying(&args.trust)?)));
    let believed = match believed {
        Ok(believed) => believed,
        Err(failure) => {
            return told.nothing_checked(args.artifacts.iter().chain(&args.bundles.checksums), failure);
        }
    };
    let show = told.show();
    let work = |Subject { name, kind, walked }| {
        let mut checked = check_subject(&name, kind, &args.bundles.bundle, &believed, show);
        // Whoever names a directory wants all of it checked, and these were passed over for their names.
        if let Ok(checked) = &mut checked
            && !walked
        {
            checked.no_bundles.clear();
        }
        (name, checked)
    };
    crew::in_order(subjects, &work, &mut told)?;
    told.finish()
}

/// Finds the bundles of one thing, reads it once, and judges.
fn check_subject(
    name: &Path,
    kind: Kind,
    named: &[PathBuf],
    believed: &Believed,
    show: Show,
) -> Result<Checked, Failure> {
    let found = match &kind {
        Kind::Unchecked(_) => Vec::new(),
        _ if !named.is_empty() => bundles::named(named)?,
        Kind::Digest(_) => {
            let message = format!("{} is a digest, which has no bundle beside it", quoted(name));
            return Err(Failure::usage(message).hint("give the bundle with --bundle"));
        }
        Kind::File | Kind::Listed { .. } => bundles::beside(name)?,
    };
    let needed = Needed { digests: believed.digests_needed(&found), whole: believed.needs_bytes(&found) };
    let (known, by) = match kind {
        Kind::Unchecked(failure) => return Err(failure),
        Kind::Digest(digest) => (Known::Digests(vec![digest]), CheckedBy::Digest),
        // Nothing of what is no bundle depends on the file.
        Kind::File if needed.digests.is_empty() => (Known::Digests(Vec::new()), CheckedBy::File),
        Kind::File => (needed.of(name, show)?, CheckedBy::File),
        Kind::Listed { list, digests } => match listed_file(name, &list, &digests, needed, show)? {
            Some(of_file) => (of_file, CheckedBy::FileAndList(list)),
            None => {
                let digests = digests.into_iter().map(|(_, digest)| digest).collect();
                (Known::Digests(digests), CheckedBy::List(list))
            }
        },
    };
    let no_bundle = |(at, found): (usize, &bundles::Found)| Some((at, found.bundle.as_ref().err()?.clone()));
    let no_bundles = found.iter().enumerate().filter_map(no_bundle).collect();
    let places: Vec<_> = found.iter().map(|found| (found.path.clone(), found.line)).collect();
    let judged = believed.judge(found, &known.artifact());
    let judged = judged.ok_or_else(|| Failure::unable("no-bundle", "there is no bundle"))?;
    Ok(Checked { judged, places, no_bundles, by })
}

/// What must be known of a file.
struct Needed {
    digests: Vec<HashAlgorithm>,
    /// The file itself: some keys sign that.
    whole: bool,
}

/// What is known of it.
enum Known {
    Digests(Vec<Digest>),
    Whole(Vec<u8>),
}

impl Needed {
    /// Reads the file, once.
    fn of(&self, name: &Path, show: Show) -> Result<Known, Failure> {
        if !self.whole {
            return artifact::digests(name, &self.digests, show).map(Known::Digests);
        }
        let bytes = artifact::read_up_to(name, MAX_WHOLE_BYTES.saturating_add(1))?;
        if bytes.len() > MAX_WHOLE_BYTES {
            let message = format!("{} is too large for a signature of this kind", quoted(name));
            return Err(Failure::unable("input", message)
                .expected(format!("at most {MAX_WHOLE_BYTES} bytes"))
                .hint(
                    "the key signed the file itself and not its digest, so that all of it must be in memory",
                ));
        }
        Ok(Known::Whole(bytes))
    }
}

impl Known {
    fn artifact(&self) -> Artifact<'_> {
        match self {
            Self::Digests(digests) => Artifact::from_digests(digests.iter().copied()),
            Self::Whole(bytes) => Artifact::from_bytes(bytes),
        }
    }
}

/// What is known of a file that a list names, which must be those in the list; none when it is not there.
fn listed_file(
    name: &Path,
    list: &Path,
    listed: &[(usize, Digest)],
    mut needed: Needed,
    show: Show,
) -> Result<Option<Known>, Failure> {
    match name.symlink_metadata() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(artifact::unreadable(name, &cause)),
        Ok(_) => artifact::check_is_file(name)?,
    }
    needed.digests.extend(listed.iter().map(|(_, digest)| digest.algorithm()));
    needed.digests.sort_unstable();
    needed.digests.dedup();
    let known = needed.of(name, show)?;
    for (line, expected) in listed {
        let found = known.artifact().digest(expected.algorithm());
        if found != Some(*expected) {
            let message = format!("{} is not the file that {} lists", quoted(name), quoted(list));
            return Err(Failure::new(Status::Refused, "checksum", message)
                .expected(format!("{expected} (line {line})"))
                .found(found.map_or_else(String::new, |digest| format!("{digest} (computed from the file)")))
                .hint("the file changed after the list was made, or the list is of another release"));
        }
    }
    Ok(Some(known))
}

/// Verifies one bundle and the artifact it should be about.
pub(crate) fn check(
    artifact: &Path,
    bundle: &Bundle,
    root: &TrustedRoot,
    policy: &Policy,
) -> Result<Result<Verified, VerifyError>, Failure> {
    let known = match artifact::as_digest(artifact) {
        Some(digest) => Known::Digests(vec![digest?]),
        None => {
            let needed =
                Needed { digests: digests_needed(bundle, policy), whole: needs_bytes(bundle, policy) };
            needed.of(artifact, Show::Nothing)?
        }
    };
    Ok(sealog_verify::verify(bundle, root, policy, &known.artifact()))
}

/// Reads a public key in PEM.
pub(crate) fn read_key(path: &Path) -> Result<PublicKey, Failure> {
    let bytes = artifact::read_bounded(path, MAX_KEY_BYTES)?;
    let pem = String::from_utf8_lossy(&bytes);
    PublicKey::from_pem(&pem).map_err(|error| {
        let message = format!("{} holds no public key that can be used: {error}", quoted(path));
        Failure::new(Status::Usage, NO_KEY, message)
    })
}
