//! What the live tests of kcn-trace, its demo and its benchmark stand on: namespaces, stand-ins, a stand-in API
//! server, a real etcd, the kubeadm scenario, and the tracer run as its users run it.
//!
//! Everything here is made so that a test that is killed leaves nothing behind, and that tests can run beside each
//! other: each has its own network namespace and looks only at records of that namespace.

pub mod apiserver;
pub mod binaries;
pub mod bpf;
pub mod cluster;
pub mod containerd;
pub mod etcd;
pub mod http;
pub mod json;
pub mod lines;
pub mod listener;
pub mod machine;
pub mod netns;
pub mod orders;
pub mod pair;
pub mod require;
mod rtnetlink;
pub mod scenario;
pub mod scratch;
pub mod signals;
pub mod standin;
pub mod tracer;
pub mod wait;
pub mod witness;
