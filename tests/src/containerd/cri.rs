//! The container runtime interface, as much of it as a kubelet needs to run a pod.
//!
//! Field numbers: `k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`.

#![expect(missing_docs, reason = "fields are documented in the interface's definition")]

use crate::wait::patience;
use anyhow::{Context, Result};
use prost::Message;
use std::collections::HashMap;
use std::path::Path;
use tokio::runtime::Runtime;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

/// A client. Each call waits for its answer.
#[derive(Debug)]
pub struct Cri {
    runtime: Runtime,
    channel: Channel,
}

impl Cri {
    /// Connects to a runtime's socket.
    pub fn connect(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?.timeout(patience());
        let channel = runtime
            .block_on(endpoint.connect())
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        Ok(Self { runtime, channel })
    }

    /// Calls `SERVICE/METHOD` and gives its answer.
    pub fn call<Q, A>(&self, method: &str, question: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/runtime.v1.{method}"))?;
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        let answer = self.runtime.block_on(async {
            client.ready().await?;
            let codec = tonic_prost::ProstCodec::<Q, A>::default();
            let answer = client.unary(tonic::Request::new(question), path, codec).await?;
            anyhow::Ok(answer.into_inner())
        });
        answer.with_context(|| format!("{method} failed"))
    }
}

macro_rules! messages {
    ($($(#[$about:meta])* $name:ident { $($(#[prost($($proto:tt)*)])* $field:ident: $type:ty,)* })*) => {
        $($(#[$about])*
        #[derive(Clone, PartialEq, Eq, Message)]
        pub struct $name {
            $($(#[prost($($proto)*)])* pub $field: $type,)*
        })*
    };
}

messages! {
    /// Who a pod is.
    PodSandboxMetadata {
        #[prost(string, tag = "1")] name: String,
        #[prost(string, tag = "2")] uid: String,
        #[prost(string, tag = "3")] namespace: String,
        #[prost(uint32, tag = "4")] attempt: u32,
    }
    /// Where a pod's processes look names up.
    DnsConfig {
        #[prost(string, repeated, tag = "1")] servers: Vec<String>,
    }
    /// Which namespaces are its own (0) and which the node's (2).
    NamespaceOption {
        #[prost(int32, tag = "1")] network: i32,
        #[prost(int32, tag = "2")] pid: i32,
        #[prost(int32, tag = "3")] ipc: i32,
    }
    /// Of a pod or of a container.
    SandboxSecurityContext {
        #[prost(message, optional, tag = "1")] namespace_options: Option<NamespaceOption>,
    }
    /// Where a pod's cgroups are.
    LinuxPodSandboxConfig {
        #[prost(string, tag = "1")] cgroup_parent: String,
        #[prost(message, optional, tag = "2")] security_context: Option<SandboxSecurityContext>,
    }
    /// What a kubelet asks a pod to be.
    PodSandboxConfig {
        #[prost(message, optional, tag = "1")] metadata: Option<PodSandboxMetadata>,
        #[prost(string, tag = "2")] hostname: String,
        #[prost(string, tag = "3")] log_directory: String,
        #[prost(message, optional, tag = "4")] dns_config: Option<DnsConfig>,
        #[prost(map = "string, string", tag = "6")] labels: HashMap<String, String>,
        #[prost(map = "string, string", tag = "7")] annotations: HashMap<String, String>,
        #[prost(message, optional, tag = "8")] linux: Option<LinuxPodSandboxConfig>,
    }
    /// To `RunPodSandbox`.
    RunPodSandboxRequest {
        #[prost(message, optional, tag = "1")] config: Option<PodSandboxConfig>,
    }
    /// A question or an answer that is one id: of a sandbox or of a container.
    Id {
        #[prost(string, tag = "1")] id: String,
    }
    /// To `StopContainer`.
    StopContainerRequest {
        #[prost(string, tag = "1")] id: String,
        #[prost(int64, tag = "2")] timeout_seconds: i64,
    }
    /// Where a pod can be reached.
    PodSandboxNetworkStatus {
        #[prost(string, tag = "1")] ip: String,
    }
    /// What has become of a pod.
    PodSandboxStatus {
        #[prost(string, tag = "1")] id: String,
        #[prost(message, optional, tag = "5")] network: Option<PodSandboxNetworkStatus>,
    }
    /// Of `PodSandboxStatus`.
    PodSandboxStatusResponse {
        #[prost(message, optional, tag = "1")] status: Option<PodSandboxStatus>,
    }
    /// What a container is called.
    ContainerMetadata {
        #[prost(string, tag = "1")] name: String,
        #[prost(uint32, tag = "2")] attempt: u32,
    }
    /// What a container is made of.
    ImageSpec {
        #[prost(string, tag = "1")] image: String,
    }
    /// To and of `ImageStatus`.
    ImageStatus {
        #[prost(message, optional, tag = "1")] image: Option<ImageSpec>,
    }
    /// A variable of a container's environment.
    KeyValue {
        #[prost(string, tag = "1")] key: String,
        #[prost(string, tag = "2")] value: String,
    }
    /// A file or directory of the node in a container.
    Mount {
        #[prost(string, tag = "1")] container_path: String,
        #[prost(string, tag = "2")] host_path: String,
        #[prost(bool, tag = "3")] readonly: bool,
    }
    /// A container's namespaces.
    LinuxContainerSecurityContext {
        #[prost(message, optional, tag = "3")] namespace_options: Option<NamespaceOption>,
    }
    /// A container's settings on Linux.
    LinuxContainerConfig {
        #[prost(message, optional, tag = "2")] security_context: Option<LinuxContainerSecurityContext>,
    }
    /// What a kubelet asks a container to be.
    ContainerConfig {
        #[prost(message, optional, tag = "1")] metadata: Option<ContainerMetadata>,
        #[prost(message, optional, tag = "2")] image: Option<ImageSpec>,
        #[prost(string, repeated, tag = "3")] command: Vec<String>,
        #[prost(string, repeated, tag = "4")] args: Vec<String>,
        #[prost(message, repeated, tag = "6")] envs: Vec<KeyValue>,
        #[prost(message, repeated, tag = "7")] mounts: Vec<Mount>,
        #[prost(map = "string, string", tag = "9")] labels: HashMap<String, String>,
        #[prost(map = "string, string", tag = "10")] annotations: HashMap<String, String>,
        #[prost(string, tag = "11")] log_path: String,
        #[prost(message, optional, tag = "15")] linux: Option<LinuxContainerConfig>,
    }
    /// To `CreateContainer`.
    CreateContainerRequest {
        #[prost(string, tag = "1")] pod_sandbox_id: String,
        #[prost(message, optional, tag = "2")] config: Option<ContainerConfig>,
        #[prost(message, optional, tag = "3")] sandbox_config: Option<PodSandboxConfig>,
    }
    /// Of a call that only says that it was done.
    Done {}
}
