//! Which trust files a command uses; without any there is nothing to believe.

use crate::{
    args::{SigningTrustArgs, VerifyingTrustArgs},
    failure::{Failure, Status},
};
use sealog_bundle::TrustedRoot;
use sealog_client::trust::{self, TrustConfig, TrustError};
use sealog_verify::{INSTANCES, Instance};

/// What verification believes.
pub(crate) fn for_verifying(args: &VerifyingTrustArgs) -> Result<TrustedRoot, Failure> {
    if let Some(name) = &args.instance {
        return built_in(name);
    }
    let read = match (&args.trusted_root, &args.trust, &args.trust_config) {
        (Some(file), ..) => trust::read_trusted_root(file),
        (_, Some(directory), _) => trust::read_trusted_root_in(directory),
        (.., Some(file)) => TrustConfig::from_file(file).map(|config| config.trusted_root),
        (None, None, None) => {
            return Err(nothing_trusted("--instance public-good, --trusted-root FILE, or --trust DIR"));
        }
    };
    read.map_err(|error| unusable(&error))
}

/// The trusted root of an instance that others run.
pub(crate) fn built_in(name: &str) -> Result<TrustedRoot, Failure> {
    let names: Vec<_> = INSTANCES.iter().map(|instance| instance.name).collect();
    let instance = Instance::named(name).ok_or_else(|| {
        Failure::usage(format!("no instance is called `{name}`"))
            .expected(names.join(", "))
            .hint("give the trusted root of any other instance with --trusted-root FILE")
    })?;
    instance.trusted_root().map_err(|error| Failure::of(Status::Unable, "trust-root", &error))
}

/// What signing believes, and whom it asks.
pub(crate) fn for_signing(args: &SigningTrustArgs) -> Result<TrustConfig, Failure> {
    let read = match (&args.trust_config, &args.trust) {
        (Some(file), _) => TrustConfig::from_file(file),
        (_, Some(directory)) => TrustConfig::from_directory(directory),
        (None, None) => return Err(nothing_trusted("--trust-config FILE, or --trust DIR")),
    };
    read.map_err(|error| unusable(&error))
}

fn nothing_trusted(options: &str) -> Failure {
    Failure::new(Status::Usage, "no-trust", "nothing says whose word counts: no trusted root is given").hint(
        format!(
            "give {options}; `sealogd dev --dir DIR` starts services of your own and makes DIR/client for --trust"
        ),
    )
}

pub(crate) fn unusable(error: &TrustError) -> Failure {
    let failure = Failure::of(Status::Unable, "trust-root", error);
    match error {
        TrustError::Missing { .. } => {
            failure.hint("ask whoever runs the services for the file, or check the path")
        }
        TrustError::Select(_) => failure.hint("get a newer signing config from whoever runs the services"),
        _ => failure,
    }
}
