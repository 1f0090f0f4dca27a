//! One instance of every service, the trusted root that names them, and who signs there.

use crate::{Authority, CtLog, Draft, KeyForm, Log, Person, Shape, Template, Thing, content, signature_of};
use sealog_bundle::{Bundle, KeyMaterial, TrustedRoot, VerificationMaterial, json::encode_base64};
use sealog_crypto::{PublicKey, Signer as _, sha256};
use sealog_pki::Certificate;
use sealog_tlog::ct::Sct;
use sealog_verify::{Artifact, ErrorClass, Policy, Verified, VerifyError, verify};

/// One instance of every service.
#[derive(Clone)]
pub struct Sigstore {
    /// Who issues people's certificates.
    pub ca: Authority,
    /// Who logs them.
    pub ct: CtLog,
    /// Who says when.
    pub tsa: Authority,
    /// The log for signatures, of Rekor v2.
    pub log: Log,
    /// The log before it, of Rekor v1.
    pub rekor_v1: Log,
    /// What a verifier is given; a change to a service takes [`Sigstore::relist`] to get here.
    pub root: TrustedRoot,
}

/// A bundle, and what it verifies with.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The bundle.
    pub bundle: Bundle,
    /// The file it is about.
    pub file: Vec<u8>,
    /// Who signed.
    pub signer: Signer,
}

/// Who signed, as a policy names them.
#[derive(Clone, Debug)]
pub enum Signer {
    /// By name.
    Identity {
        /// The identity.
        identity: String,
        /// Its OIDC issuer.
        issuer: String,
    },
    /// By key.
    Key(Box<PublicKey>),
}

impl Default for Sigstore {
    fn default() -> Self {
        Self::new()
    }
}

impl Sigstore {
    /// The usual instance: always the same keys.
    #[must_use]
    pub fn new() -> Self {
        Self::other("usual")
    }

    /// An instance of the same names and other keys, which follow from the label.
    #[must_use]
    pub fn other(label: &str) -> Self {
        let mut world = Self {
            ca: Authority::ca(label),
            ct: CtLog::new(label),
            tsa: Authority::tsa(label),
            log: Log::rekor_v2(label, "log.example"),
            rekor_v1: Log::rekor_v1(label, "rekor.example"),
            root: TrustedRoot::default(),
        };
        world.relist();
        world
    }

    /// Writes the trusted root anew, from the services as they are now. Each kind of log has one listing
    /// (Rekor v2 first), each kind of authority one.
    pub fn relist(&mut self) {
        self.root = TrustedRoot {
            tlogs: vec![self.log.listed(), self.rekor_v1.listed()],
            certificate_authorities: vec![self.ca.listed()],
            ctlogs: vec![self.ct.listed()],
            timestamp_authorities: vec![self.tsa.listed()],
        };
    }

    /// What a certificate of a person will say.
    #[must_use]
    pub fn draft(&self, who: &Person, not_before: i64) -> Draft {
        Draft {
            template: Template::signer(&who.san(), &who.issuer, not_before),
            public_key: who.key.public_key().clone(),
        }
    }

    /// The certificate log's promise about a draft.
    #[must_use]
    pub fn sct(&self, draft: &Draft, at: i64) -> Sct {
        self.ct.sct(draft, self.ca.signer(), at)
    }

    /// The certificate of a draft, with these promises.
    #[must_use]
    pub fn finish(&self, draft: &Draft, scts: Vec<Sct>) -> Certificate {
        draft.certificate(self.ca.signer(), scts)
    }

    /// The certificate of a draft, promised when its validity begins.
    #[must_use]
    pub fn certify(&self, draft: &Draft) -> Certificate {
        self.finish(draft, vec![self.sct(draft, draft.template.not_before)])
    }

    /// A person's certificate.
    #[must_use]
    pub fn certificate(&self, who: &Person, not_before: i64) -> Certificate {
        self.certify(&self.draft(who, not_before))
    }

    /// Signs as everybody does today.
    pub fn sign(&mut self, who: &Person, thing: Thing<'_>) -> Signed {
        self.sign_as(who, thing, &Shape::default())
    }

    /// Signs in this shape, with a certificate of a minute ago.
    pub fn sign_as(&mut self, who: &Person, thing: Thing<'_>, shape: &Shape) -> Signed {
        let draft = self.draft(who, shape.at - 60);
        let certificate = if shape.sct { self.certify(&draft) } else { self.finish(&draft, Vec::new()) };
        self.sign_all(who, &certificate, thing, shape)
    }

    /// Signs with a certificate that is there already.
    pub fn sign_with(&mut self, who: &Person, certificate: &Certificate, thing: Thing<'_>) -> Signed {
        self.sign_all(who, certificate, thing, &Shape::default())
    }

    /// Signs with this certificate and in this shape.
    pub fn sign_all(
        &mut self,
        who: &Person,
        certificate: &Certificate,
        thing: Thing<'_>,
        shape: &Shape,
    ) -> Signed {
        let leaf = certificate.der().to_vec();
        let by_name = Signer::Identity { identity: who.identity.clone(), issuer: who.issuer.clone() };
        let (key, signer) = match shape.key {
            KeyForm::Certificate => (KeyMaterial::Certificate(leaf), by_name),
            KeyForm::Chain => {
                let mut above = self.ca.certificates();
                above.pop();
                let above = above.iter().map(|certificate| certificate.der().to_vec());
                (KeyMaterial::Chain(std::iter::once(leaf).chain(above).collect()), by_name)
            }
            KeyForm::Managed => {
                let key = who.key.public_key();
                let hint = encode_base64(&sha256(key.spki_der()));
                (KeyMaterial::PublicKey { hint }, Signer::Key(Box::new(key.clone())))
            }
        };
        let material = VerificationMaterial { key, log_entries: Vec::new(), timestamps: Vec::new() };
        let bundle = Bundle { version: shape.version, material, content: content(who, thing) };
        let mut signed = Signed { bundle, file: thing.file().to_vec(), signer };
        for form in &shape.entries {
            let log = if form.is_v1() { &mut self.rekor_v1 } else { &mut self.log };
            let mut entry = log.take(&signed, *form);
            if shape.promise && form.is_v1() {
                log.promise(&mut entry, shape.at);
            }
            signed.bundle.material.log_entries.push(entry);
        }
        if shape.timestamp {
            let stamp = self.tsa.stamp(signed.signature(), shape.at);
            signed.bundle.material.timestamps.push(stamp);
        }
        signed
    }

    /// The verdict on a bundle, for who signed it.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn verify(&self, signed: &Signed) -> Result<Verified, VerifyError> {
        verify(&signed.bundle, &self.root, &signed.policy(), &Artifact::from_bytes(&signed.file))
    }

    /// Why a bundle is refused, if it is.
    #[must_use]
    pub fn class(&self, signed: &Signed) -> Option<ErrorClass> {
        self.verify(signed).err().map(|error| error.class())
    }
}

impl Signed {
    /// The policy that names who signed.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match &self.signer {
            Signer::Identity { identity, issuer } => Policy::identity(identity, issuer),
            Signer::Key(key) => Policy::key(PublicKey::clone(key)),
        }
    }

    /// The one signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        signature_of(&self.bundle.content)
    }

    /// Another bundle, said to be of the same person and about the same file.
    #[must_use]
    pub fn with(&self, bundle: Bundle) -> Self {
        Self { bundle, ..self.clone() }
    }

    /// The same with something changed.
    #[must_use]
    pub fn changed(&self, change: impl FnOnce(&mut Bundle)) -> Self {
        let mut signed = self.clone();
        change(&mut signed.bundle);
        signed
    }
}
