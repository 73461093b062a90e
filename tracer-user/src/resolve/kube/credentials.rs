//! The files and programs that a kubeconfig's credentials come from: read and run here, within limits, and told
//! without a word of what they say. The client gets values only, and opens and runs nothing itself.
#![forbid(unsafe_code)]

use std::{io, path::Path, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use kube::config::{AuthInfo, Cluster, ExecConfig, ExecInteractiveMode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::{
    clock,
    malformed::Malformed,
    regular_file,
    resolve::{
        children::{Children, Failure, Limits},
        yaml,
    },
};

/// Largest file of a token, key or certificates.
const FILE_MAX: u64 = 1 << 20;
/// A plugin may ask somewhere else; some open a browser, which is no use here.
const PLUGIN: Limits = Limits {
    output: 1 << 20,
    time: Duration::from_secs(30),
};
/// Token files rotate.
const FILE_AGE: Duration = Duration::from_mins(1);
/// So long before a token expires it is renewed.
const EARLY: Duration = Duration::from_mins(1);
/// A plugin runs at most this often, whatever it says of its tokens.
const PLUGIN_REST: Duration = Duration::from_secs(30);

/// Why there are no credentials. Names fields of a kubeconfig, never what they hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCredentials {
    #[error("the file that `{field}` names cannot be read: {source}")]
    File { field: &'static str, source: io::Error },
    #[error("its credentials plugin (`exec`) failed: {0}")]
    Plugin(#[from] Failure),
    #[error("its credentials plugin (`exec`) printed no ExecCredential: {0}")]
    Printed(#[from] Malformed),
    #[error("its credentials plugin (`exec`) printed an ExecCredential without {0}")]
    Lacks(&'static str),
    #[error("its token holds what no token may: line breaks, or signs that are not ASCII")]
    Token,
    #[error("its credentials plugin (`exec`) names no command")]
    NoCommand,
    #[error("its credentials plugin (`exec`) needs a terminal (interactiveMode: Always)")]
    Interactive,
    #[error("no thread could be started for its credentials plugin: {0}")]
    Thread(#[source] io::Error),
}

/// Reads the certificates and the key that files hold.
pub(super) fn read_files(
    cluster: Option<&mut Cluster>,
    user: Option<&mut AuthInfo>,
) -> Result<(), NoCredentials> {
    if let Some(cluster) = cluster {
        let Cluster {
            certificate_authority: file,
            certificate_authority_data: data,
            ..
        } = cluster;
        inline(data, file, "certificate-authority")?;
    }
    if let Some(user) = user {
        inline(
            &mut user.client_certificate_data,
            &mut user.client_certificate,
            "client-certificate",
        )?;
        let mut key = None;
        if user.client_key_data.is_none() {
            inline(&mut key, &mut user.client_key, "client-key")?;
        }
        user.client_key_data = user.client_key_data.take().or(key.map(Into::into));
    }
    Ok(())
}

/// Makes a token or a certificate of what a user's entry says; when that is to be done again. In the order that kubectl
/// takes them.
pub(super) async fn settle(
    user: &mut AuthInfo,
    children: &Children,
) -> Result<Option<Duration>, NoCredentials> {
    if let Some(provider) = &mut user.auth_provider {
        // Kubernetes 1.26 gave it up: what is written there is used, but no program is run.
        provider.config.remove("cmd-path");
        return Ok(None);
    }
    let basic = user.username.is_some() && user.password.is_some();
    if let Some(token) = &user.token {
        checked(token.expose_secret())?;
    }
    if basic || user.token.is_some() {
        user.token_file = None;
        user.exec = None;
        return Ok(None);
    }
    if let Some(file) = user.token_file.take() {
        user.exec = None;
        let field = "tokenFile";
        let token = regular_file::read_text(Path::new(&file), FILE_MAX)
            .map_err(|source| NoCredentials::File { field, source })?;
        user.token = Some(checked(token.trim())?.into());
        return Ok(Some(FILE_AGE));
    }
    let Some(exec) = user.exec.take() else {
        return Ok(None);
    };
    let command = command(&exec)?;
    let Status {
        token,
        client_certificate_data,
        client_key_data,
        expiration_timestamp,
    } = status(&printed(command, children.clone()).await?)?;
    match (token, client_certificate_data, client_key_data) {
        (token, Some(certificate), Some(key)) => {
            user.client_certificate_data = Some(STANDARD.encode(certificate));
            user.client_key_data = Some(STANDARD.encode(key).into());
            user.token = token.map(|token| checked(&token)).transpose()?.map(Into::into);
        }
        (Some(token), _, _) => user.token = Some(checked(&token)?.into()),
        (None, _, _) => return Err(NoCredentials::Lacks("token or certificate and key")),
    }
    Ok(expiration_timestamp.map(|expires| {
        let now_ns = i128::from(clock::boot_ns()) + i128::from(clock::wall_offset_ns());
        let left_ns = u64::try_from(expires.as_nanosecond() - now_ns).unwrap_or(0);
        Duration::from_nanos(left_ns)
            .saturating_sub(EARLY)
            .max(PLUGIN_REST)
    }))
}

/// A token as a request can carry it; the client relies on that.
fn checked(token: &str) -> Result<String, NoCredentials> {
    match http::HeaderValue::try_from(token) {
        Ok(_fit) => Ok(token.to_owned()),
        Err(_unfit) => Err(NoCredentials::Token),
    }
}

fn inline(
    data: &mut Option<String>,
    file: &mut Option<String>,
    field: &'static str,
) -> Result<(), NoCredentials> {
    if let (Some(file), None) = (file.take(), &data) {
        let bytes = regular_file::read(Path::new(&file), FILE_MAX)
            .map_err(|source| NoCredentials::File { field, source })?;
        *data = Some(STANDARD.encode(bytes));
    }
    Ok(())
}

/// The plugin as the specification of client.authentication.k8s.io has it run, without a terminal.
fn command(exec: &ExecConfig) -> Result<Command, NoCredentials> {
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(NoCredentials::Interactive);
    }
    let program = exec.command.as_deref().filter(|command| !command.is_empty());
    let mut command = Command::new(program.ok_or(NoCredentials::NoCommand)?);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value"))
            && !name.is_empty()
            && !name.contains(['=', '\0'])
        {
            command.env(name, value);
        }
    }
    let mut spec = serde_json::json!({"interactive": false});
    if let (true, Some(cluster), Some(spec)) = (exec.provide_cluster_info, &exec.cluster, spec.as_object_mut())
        // It holds texts and bytes only.
        && let Ok(cluster) = serde_json::to_value(cluster)
    {
        spec.insert("cluster".to_owned(), cluster);
    }
    let info = serde_json::json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    Ok(command)
}

/// Runs it in a thread of its own: watches go on meanwhile.
async fn printed(mut command: Command, children: Children) -> Result<Vec<u8>, NoCredentials> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("plugin".to_owned())
        .spawn(move || {
            // Nobody hears it when the run is over.
            let _unheard = sender.send(children.run(&mut command, PLUGIN));
        })
        .map_err(NoCredentials::Thread)?;
    Ok(receiver.await.unwrap_or(Err(Failure::Over))?)
}

#[derive(Deserialize)]
struct Credential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    #[serde(default, deserialize_with = "timestamp")]
    expiration_timestamp: Option<Timestamp>,
}

/// One that cannot be read counts as absent: the token is good until the server refuses it.
fn timestamp<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
}

fn status(printed: &[u8]) -> Result<Status, NoCredentials> {
    let mut documents: Vec<Credential> = yaml::documents(printed)?;
    let status = documents.pop().and_then(|credential| credential.status);
    status.ok_or(NoCredentials::Lacks("status"))
}
