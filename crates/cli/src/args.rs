//! What can be typed: commands, options, and the help that explains them.

use clap::{Args, Parser, Subcommand};
use std::{num::NonZeroUsize, path::PathBuf};

const SIGN_EXAMPLE: &str = "Examples:
  sealog sign app.tar.gz --trust ./client
  sealog sign dist/*.whl --trust ./client --identity-token @token.jwt
";
const ATTEST_EXAMPLE: &str = "Example:
  sealog attest app.tar.gz --predicate provenance.json --type slsaprovenance1 --trust ./client
";
const VERIFY_EXAMPLE: &str = "Examples:
  sealog verify app.tar.gz --identity ann@example.org --issuer https://accounts.example.org --trust ./client
  sealog verify dist/ --identity ann@example.org --issuer https://accounts.example.org --trust ./client
  sealog verify --checksums SHA256SUMS --key release.pub --trusted-root root.json
  sealog verify sha256:9f2c… --bundle app.tar.gz.sigstore.json --key release.pub --trusted-root root.json
";
const INSPECT_EXAMPLE: &str = "Example:
  sealog inspect app.tar.gz.sigstore.json
";
const EXAMPLE: &str = "Examples:
  sealog sign app.tar.gz --trust ./client
  sealog verify app.tar.gz --identity ann@example.org --issuer https://accounts.example.org --trust ./client
";
const TEMPLATE: &str = "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}";
const EXIT_STATUS: &str = "Exit status: 0 done or verified, 1 refused, 2 wrong usage or configuration, \
                           3 could not check or could not reach";
const VERIFY_EXIT_STATUS: &str = "Exit status: 0 verified; 1 refused, be it that another signed or that nothing is \
                                  proven (--json tells them apart: wrong-signer, not-verified); 2 wrong usage or \
                                  configuration; 3 could not check";

/// Sign software without keeping keys, and check what others signed.
#[derive(Debug, Parser)]
#[command(
    name = "sealog", version, before_help = EXAMPLE, after_help = EXIT_STATUS, help_template = TEMPLATE,
    disable_help_subcommand = true, arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign files in your name; each gets a bundle beside it
    #[command(before_help = SIGN_EXAMPLE, help_template = TEMPLATE)]
    Sign(SignArgs),
    /// State something about files in your name (an in-toto statement in a DSSE envelope)
    #[command(before_help = ATTEST_EXAMPLE, help_template = TEMPLATE)]
    Attest(AttestArgs),
    /// Check that files are what someone you name signed
    #[command(before_help = VERIFY_EXAMPLE, after_help = VERIFY_EXIT_STATUS, help_template = TEMPLATE)]
    Verify(VerifyArgs),
    /// Say what a bundle holds, without judging it
    #[command(before_help = INSPECT_EXAMPLE, help_template = TEMPLATE)]
    Inspect(InspectArgs),
    /// Follow the logs and tell when a name is used
    #[command(before_help = crate::watch::EXAMPLE, help_template = TEMPLATE)]
    Watch(crate::watch::WatchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The files to sign, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) trust: SigningTrustArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AttestArgs {
    /// The files the statement is about
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What is stated: a JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) predicate: PathBuf,
    /// What sort of statement it is: a URI, or a short name such as slsaprovenance1, spdx, cyclonedx
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) predicate_type: String,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) trust: SigningTrustArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Who signs.
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    /// An identity token in place of the browser: the token, @FILE, or - for standard input
    #[arg(long, value_name = "TOKEN|@FILE|-", help_heading = "Who signs")]
    pub(crate) identity_token: Option<String>,
    /// The OpenID provider to sign in at, in place of the configured one
    #[arg(long, value_name = "URL", help_heading = "Who signs")]
    pub(crate) issuer_url: Option<String>,
    /// The provider behind the provider, so that its page need not ask: such as https://github.com/login/oauth
    #[arg(long, value_name = "URL", help_heading = "Who signs")]
    pub(crate) connector_id: Option<String>,
    /// The audience a token must be made for, where the authority wants another [default: sigstore, or the --client-id]
    #[arg(long, value_name = "NAME", help_heading = "Who signs")]
    pub(crate) audience: Option<String>,
    /// This program's name at the OpenID provider [default: sigstore]
    #[arg(long, value_name = "NAME", help_heading = "Who signs")]
    pub(crate) client_id: Option<String>,
    /// Sign as the owner of this address: a code is mailed there, and typed here
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["no_browser", "device", "paste", "connector_id", "identity_token"], help_heading = "Who signs")]
    pub(crate) email: Option<String>,
    /// Print the address to open instead of starting a browser
    #[arg(long, help_heading = "Who signs")]
    pub(crate) no_browser: bool,
    /// Show a code to type into a page on another device [default without a screen, and over SSH]
    #[arg(long, conflicts_with = "no_browser", help_heading = "Who signs")]
    pub(crate) device: bool,
    /// Ask for the code that the provider's page shows in a browser elsewhere
    #[arg(long, conflicts_with_all = ["no_browser", "device"], help_heading = "Who signs")]
    pub(crate) paste: bool,
    /// Sign in as a person even where a build system or a cloud vouches for what runs here
    #[arg(long, help_heading = "Who signs")]
    pub(crate) no_ambient: bool,
}

/// Which services sign, and whose word counts.
#[derive(Debug, Args)]
#[group(multiple = true)]
pub(crate) struct SigningTrustArgs {
    /// A Sigstore client trust config: trusted root and services in one file
    #[arg(long, value_name = "FILE", conflicts_with = "trust", help_heading = "Whose word counts")]
    pub(crate) trust_config: Option<PathBuf>,
    /// A directory with trusted_root.json and signing_config.json, such as `sealogd dev` makes
    #[arg(long, value_name = "DIR", help_heading = "Whose word counts")]
    pub(crate) trust: Option<PathBuf>,
}

/// Where bundles go.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Where to write the bundle, for a single file [default: FILE.sigstore.json]
    #[arg(long, value_name = "OUT", help_heading = "Output")]
    pub(crate) bundle: Option<PathBuf>,
    /// Replace a bundle that exists
    #[arg(long, help_heading = "Output")]
    pub(crate) force: bool,
    /// One JSON object per file
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The files to check, directories of them, - for standard input, or digests as sha256:HEX
    #[arg(required_unless_present = "checksums", value_name = "FILE|DIR|-|sha256:HEX")]
    pub(crate) artifacts: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) bundles: BundleArgs,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    #[command(flatten)]
    pub(crate) trust: VerifyingTrustArgs,
    /// One JSON object per artifact
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// What is checked with which bundles.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// A bundle for a single artifact; of several, one must verify [default: FILE.sigstore.json,
    /// FILE.sigstore, and FILE.sigstore.jsonl with one on each line]
    #[arg(long, value_name = "BUNDLE", help_heading = "What is checked")]
    pub(crate) bundle: Vec<PathBuf>,
    /// Check what a sha256sum, sha512sum or `SHA256 (name) = hex` list names, by the digests in it; files that
    /// are there must have those digests
    #[arg(long, value_name = "LIST", help_heading = "What is checked")]
    pub(crate) checksums: Option<PathBuf>,
}

/// Who must have signed.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// Who must have signed: an email address, URI or name, exactly
    #[arg(
        long, value_name = "ID", alias = "certificate-identity", conflicts_with_all = ["identity_regexp", "key"],
        help_heading = "Who must have signed"
    )]
    pub(crate) identity: Option<String>,
    /// Who must have signed: a regular expression for the whole of the name
    #[arg(
        long,
        value_name = "REGEXP",
        alias = "certificate-identity-regexp",
        conflicts_with = "key",
        help_heading = "Who must have signed"
    )]
    pub(crate) identity_regexp: Option<String>,
    /// Which OpenID provider must vouch for the signer, exactly
    #[arg(
        long, value_name = "URL", alias = "certificate-oidc-issuer", conflicts_with_all = ["issuer_regexp", "key"],
        help_heading = "Who must have signed"
    )]
    pub(crate) issuer: Option<String>,
    /// Which OpenID provider must vouch: a regular expression for the whole of the URL
    #[arg(
        long,
        value_name = "REGEXP",
        alias = "certificate-oidc-issuer-regexp",
        conflicts_with = "key",
        help_heading = "Who must have signed"
    )]
    pub(crate) issuer_regexp: Option<String>,
    /// A public key that must have signed, in PEM, in place of an identity
    #[arg(long, value_name = "PEM", help_heading = "Who must have signed")]
    pub(crate) key: Option<PathBuf>,
    /// What the signer's certificate must say besides: repository, ref, owner, workflow, trigger, runner,
    /// environment, or any extension by its name
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "key", help_heading = "Who must have signed")]
    pub(crate) extension: Vec<String>,
    /// The same, as a regular expression for the whole of the value
    #[arg(long, value_name = "NAME=REGEXP", conflicts_with = "key", help_heading = "Who must have signed")]
    pub(crate) extension_regexp: Vec<String>,
    /// A file that says who, how many different signers, and what must prove it (docs/reference/policy.md)
    #[arg(
        long, value_name = "FILE", help_heading = "Who must have signed",
        conflicts_with_all = [
            "identity", "identity_regexp", "issuer", "issuer_regexp", "key", "extension", "extension_regexp",
            "min_logs", "min_timestamps", "min_scts", "accept_promises", "insecure_ignore_tlog",
            "insecure_ignore_sct",
        ]
    )]
    pub(crate) policy: Option<PathBuf>,
}

/// What must be proven.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// In how many transparency logs, of different operators, the signature must be [default: 1]
    #[arg(long, value_name = "N", help_heading = "What must be proven")]
    pub(crate) min_logs: Option<NonZeroUsize>,
    /// How many timestamp authorities must state a time [default: 0; a log's promise may do]
    #[arg(long, value_name = "N", help_heading = "What must be proven")]
    pub(crate) min_timestamps: Option<usize>,
    /// How many certificate logs must have promised to show the certificate [default: 1]
    #[arg(long, value_name = "N", help_heading = "What must be proven")]
    pub(crate) min_scts: Option<NonZeroUsize>,
    /// Take a log's promise for a proof, in bundles of 2022 and 2023 that have no proof
    #[arg(long, help_heading = "What must be proven")]
    pub(crate) accept_promises: bool,
    /// Take signatures that are in no transparency log: nobody can find out about them
    #[arg(long, conflicts_with = "min_logs", help_heading = "What must be proven")]
    pub(crate) insecure_ignore_tlog: bool,
    /// Take certificates that no log promised to show: nobody can find out about them
    #[arg(long, conflicts_with = "min_scts", help_heading = "What must be proven")]
    pub(crate) insecure_ignore_sct: bool,
}

/// Whose word counts.
#[derive(Debug, Args)]
pub(crate) struct VerifyingTrustArgs {
    /// An instance whose trusted root is built in: public-good, staging or github
    #[arg(
        long, value_name = "NAME", conflicts_with_all = ["trusted_root", "trust", "trust_config"],
        help_heading = "Whose word counts"
    )]
    pub(crate) instance: Option<String>,
    /// A Sigstore trusted root
    #[arg(
        long, value_name = "FILE", conflicts_with_all = ["trust", "trust_config"],
        help_heading = "Whose word counts"
    )]
    pub(crate) trusted_root: Option<PathBuf>,
    /// A directory with trusted_root.json, such as `sealogd dev` makes
    #[arg(long, value_name = "DIR", conflicts_with = "trust_config", help_heading = "Whose word counts")]
    pub(crate) trust: Option<PathBuf>,
    /// A Sigstore client trust config
    #[arg(long, value_name = "FILE", help_heading = "Whose word counts")]
    pub(crate) trust_config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The bundle, or a file with one on each line
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// One JSON object per bundle
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn cosigns_names_are_understood() {
        let cli = Cli::parse_from([
            "sealog",
            "verify",
            "f",
            "--certificate-identity",
            "a",
            "--certificate-oidc-issuer",
            "b",
            "--trusted-root",
            "r",
        ]);
        let Command::Verify(args) = cli.command else { unreachable!("verify was typed") };
        assert_eq!(args.signer.identity.as_deref(), Some("a"));
        assert_eq!(args.signer.issuer.as_deref(), Some("b"));
    }
}
