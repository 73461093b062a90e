//! The format of rule files, as `components.toml` describes it at its top.
#![forbid(unsafe_code)]

use serde::Deserialize;
use toml::Spanned;

/// The part a single-binary distribution plays on some ports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Role {
    #[serde(rename = "role")]
    pub(super) name: String,
    pub(super) serves: Vec<u16>,
    pub(super) dials: Vec<u16>,
}

/// How to find the program inside an interpreter's command line.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interpreter {
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) switches: Vec<String>,
    #[serde(default)]
    pub(super) before_script: Vec<String>,
}

/// Whether a port's usual server speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Always.
    Tls,
    /// Never.
    Plain,
    /// By configuration.
    Either,
}

/// Who usually serves a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRule {
    /// The port, or the first of a range.
    pub port: u16,
    /// Last port of a range.
    pub to: Option<u16>,
    /// Who usually listens there.
    pub server: String,
    /// What for.
    pub purpose: String,
    /// Whether it speaks TLS.
    pub tls: Tls,
    /// Too many programs use it: never a guess.
    #[serde(default)]
    pub unsure: bool,
    /// What to know; empty for nothing.
    #[serde(default)]
    pub note: String,
}

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) component: Vec<RawComponent>,
    #[serde(default)]
    pub(super) interpreter: Vec<Interpreter>,
    #[serde(default)]
    pub(super) applets: Vec<String>,
    #[serde(default)]
    pub(super) port: Vec<Spanned<PortRule>>,
}

/// A component as written: keys left out are taken from an earlier file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawComponent {
    pub(super) name: Spanned<String>,
    pub(super) exe: Option<Vec<Spanned<String>>>,
    pub(super) argv0: Option<Vec<Spanned<String>>>,
    pub(super) comm: Option<Vec<Spanned<String>>>,
    pub(super) commands: Option<Vec<Spanned<String>>>,
    pub(super) scripts: Option<Vec<Spanned<String>>>,
    pub(super) multicall: Option<bool>,
    pub(super) subcommands: Option<Vec<String>>,
    pub(super) flags: Option<Vec<String>>,
    pub(super) switches: Option<Vec<String>>,
    pub(super) roles: Option<Vec<Role>>,
}
