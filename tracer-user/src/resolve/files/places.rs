//! Where distributions keep what the kubelet is told: flags, settings, kubeconfig files, manifests of static pods.
#![forbid(unsafe_code)]

/// Flags of the kubelet: kubeadm, its packages, `MicroK8s`.
pub(super) const FLAGS: [&str; 5] = [
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
    "/etc/kubernetes/kubelet.env",
    "/var/snap/microk8s/current/args/kubelet",
];

/// Settings and kubeconfig files: kubeadm, kubespray, EKS, Talos, `OpenShift`, k0s, k3s, RKE2, `MicroK8s`.
pub(super) const CONFIGS: [&str; 25] = [
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/kubelet-config.yaml",
    "/etc/kubernetes/kubelet/config.json",
    "/etc/kubernetes/kubelet/kubelet-config.json",
    "/var/lib/kubelet/kubeconfig",
    "/etc/kubernetes/kubelet.yaml",
    "/etc/kubernetes/kubeconfig-kubelet",
    "/etc/kubernetes/kubeconfig",
    "/var/lib/k0s/kubelet-config.yaml",
    "/run/k0s/kubelet/config.yaml",
    "/var/lib/k0s/kubelet.conf",
    "/var/lib/k0s/pki/admin.conf",
    "/etc/rancher/k3s/config.yaml",
    "/etc/rancher/rke2/config.yaml",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf",
    "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/00-rke2-defaults.conf",
    "/var/snap/microk8s/current/credentials/kubelet.config",
    "/var/snap/microk8s/current/credentials/client.config",
];

/// Directories of manifests that need no setting to be known: kubeadm, RKE2, k3s.
pub(super) const MANIFESTS: [&str; 3] = [
    "/etc/kubernetes/manifests",
    "/var/lib/rancher/rke2/agent/pod-manifests",
    "/var/lib/rancher/k3s/agent/pod-manifests",
];
