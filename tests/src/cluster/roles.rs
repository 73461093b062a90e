//! Who is on the node: the pods of a kubeadm control plane and two applications, with their command lines and sockets.

/// The node's name.
pub const NODE_NAME: &str = "controlplane";

/// What keeps a pod running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A manifest in a directory of the node.
    Static,
    /// A daemon set, its name.
    DaemonSet(&'static str),
    /// A deployment, its name, through a replica set.
    Deployment(&'static str),
}

/// A pod of the node.
#[derive(Debug)]
pub(super) struct Role {
    /// What it is called in the tests.
    pub(super) key: &'static str,
    pub(super) namespace: &'static str,
    pub(super) workload: Workload,
    pub(super) label: (&'static str, &'static str),
    pub(super) argv: &'static [&'static str],
    pub(super) listens: &'static [&'static str],
    /// What it prints once it serves, and how often; a stand-in says so itself.
    pub(super) serves: (&'static str, usize),
}

/// All pods. Those of the control plane have the node's network.
pub(super) const ROLES: &[Role] = &[
    Role {
        key: "etcd",
        namespace: "kube-system",
        workload: Workload::Static,
        label: ("component", "etcd"),
        argv: &[
            "etcd",
            "--advertise-client-urls=http://192.168.59.150:2379",
            "--data-dir=/var/lib/etcd",
            "--initial-advertise-peer-urls=http://192.168.59.150:2380",
            "--initial-cluster=controlplane=http://192.168.59.150:2380",
            "--listen-client-urls=http://127.0.0.1:2379,http://192.168.59.150:2379",
            "--listen-metrics-urls=http://127.0.0.1:2381",
            "--listen-peer-urls=http://192.168.59.150:2380",
            "--name=controlplane",
        ],
        listens: &[],
        serves: ("client requests on", 2),
    },
    Role {
        key: "kube-apiserver",
        namespace: "kube-system",
        workload: Workload::Static,
        label: ("component", "kube-apiserver"),
        argv: &[
            "kube-apiserver",
            "--advertise-address=192.168.59.150",
            "--authorization-mode=Node,RBAC",
            "--etcd-servers=http://127.0.0.1:2379",
            "--secure-port=6443",
            "--service-cluster-ip-range=10.96.0.0/12",
        ],
        listens: &["[::]:6443"],
        serves: ("6443", 1),
    },
    Role {
        key: "kube-controller-manager",
        namespace: "kube-system",
        workload: Workload::Static,
        label: ("component", "kube-controller-manager"),
        argv: &[
            "kube-controller-manager",
            "--allocate-node-cidrs=true",
            "--bind-address=127.0.0.1",
            "--cluster-cidr=10.244.0.0/16",
            "--kubeconfig=/etc/kubernetes/controller-manager.conf",
            "--service-cluster-ip-range=10.96.0.0/12",
        ],
        listens: &["127.0.0.1:10257"],
        serves: ("", 0),
    },
    Role {
        key: "kube-scheduler",
        namespace: "kube-system",
        workload: Workload::Static,
        label: ("component", "kube-scheduler"),
        argv: &[
            "kube-scheduler",
            "--bind-address=127.0.0.1",
            "--kubeconfig=/etc/kubernetes/scheduler.conf",
            "--leader-elect=true",
        ],
        listens: &["127.0.0.1:10259"],
        serves: ("", 0),
    },
    Role {
        key: "kube-proxy",
        namespace: "kube-system",
        workload: Workload::DaemonSet("kube-proxy"),
        label: ("k8s-app", "kube-proxy"),
        argv: &[
            "kube-proxy",
            "--config=/var/lib/kube-proxy/config.conf",
            "--hostname-override=controlplane",
        ],
        listens: &["127.0.0.1:10249", "[::]:10256"],
        serves: ("", 0),
    },
    Role {
        key: "coredns",
        namespace: "kube-system",
        workload: Workload::Deployment("coredns"),
        label: ("k8s-app", "kube-dns"),
        argv: &["coredns", "-conf", "/etc/coredns/Corefile"],
        listens: &["[::]:53", "[::]:8080", "[::]:8181", "[::]:9153"],
        serves: ("", 0),
    },
    Role {
        key: "web-0",
        namespace: "default",
        workload: Workload::Deployment("web"),
        label: ("app", "web"),
        argv: &["web", "--port=8080"],
        listens: &["[::]:8080"],
        serves: ("", 0),
    },
    Role {
        key: "web-1",
        namespace: "default",
        workload: Workload::Deployment("web"),
        label: ("app", "web"),
        argv: &["web", "--port=8080"],
        listens: &["[::]:8080"],
        serves: ("", 0),
    },
    Role {
        key: "client",
        namespace: "shop",
        workload: Workload::Deployment("client"),
        label: ("app", "client"),
        argv: &["client", "--url=http://web.default"],
        listens: &[],
        serves: ("", 0),
    },
];

impl Role {
    pub(super) fn host_network(&self) -> bool {
        matches!(self.workload, Workload::Static | Workload::DaemonSet(_))
    }

    /// The name of its container, as its program's.
    pub(super) fn container(&self) -> &'static str {
        self.argv.first().copied().unwrap_or_default()
    }
}
