//! The cluster's objects as its API server would list them, with the lab's own addresses, uids and container ids.

use super::ids;
use super::plan::Plan;
use super::roles::{NODE_NAME, Workload};
use super::services::Service;
use crate::containerd::Pod;
use crate::scenario::NODE;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

const SINCE: &str = "2026-11-20T18:04:42Z";

/// Writes a list of each kind into `directory`: `pods.json`, `services.json` and so on.
pub(super) fn write(
    directory: &Path,
    pods: &[(&Plan, &Pod)],
    services: &[(&Service, Vec<SocketAddr>)],
    subnet: u8,
) -> Result<()> {
    fs::create_dir_all(directory)?;
    let list = |file: &str, kind: &str, version: &str, items: Vec<Value>| {
        let list = json!({"kind": kind, "apiVersion": version, "metadata": {"resourceVersion": "579"}, "items": items});
        fs::write(directory.join(file), list.to_string())
    };
    let namespaces = ["default", "kube-system", "shop"].map(namespace);
    list(
        "namespaces.json",
        "NamespaceList",
        "v1",
        namespaces.into_iter().collect::<Result<_>>()?,
    )?;
    list("nodes.json", "NodeList", "v1", vec![node(subnet)?])?;
    list(
        "pods.json",
        "PodList",
        "v1",
        pods.iter().map(|(plan, made)| pod(plan, made)).collect(),
    )?;
    let each = services.iter().map(|(one, _)| service(one));
    list("services.json", "ServiceList", "v1", each.collect::<Result<_>>()?)?;
    let each = services
        .iter()
        .map(|(one, endpoints)| slice(one, endpoints, pods));
    list(
        "endpointslices.json",
        "EndpointSliceList",
        "discovery.k8s.io/v1",
        each.collect::<Result<_>>()?,
    )?;
    Ok(())
}

fn metadata(name: &str, namespace: Option<&str>, labels: &Value) -> Result<Value> {
    let mut metadata = json!({
        "name": name, "uid": ids::uid()?, "resourceVersion": "400", "creationTimestamp": SINCE, "labels": labels,
    });
    if let (Some(namespace), Some(fields)) = (namespace, metadata.as_object_mut()) {
        fields.insert("namespace".to_owned(), json!(namespace));
    }
    Ok(metadata)
}

fn namespace(name: &str) -> Result<Value> {
    let labels = json!({"kubernetes.io/metadata.name": name});
    Ok(json!({"metadata": metadata(name, None, &labels)?, "status": {"phase": "Active"}}))
}

fn node(subnet: u8) -> Result<Value> {
    let cidr = format!("10.244.{subnet}.0/24");
    let labels = json!({"kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux", "node-role.kubernetes.io/control-plane": ""});
    Ok(json!({
        "metadata": metadata(NODE_NAME, None, &labels)?,
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": NODE}, {"type": "Hostname", "address": NODE_NAME}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": SINCE, "lastTransitionTime": SINCE, "message": "kubelet is posting ready status"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "containerd://1.6.20", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": "v1.36.0", "machineID": "", "operatingSystem": "linux",
                "osImage": "", "systemUUID": "",
            },
        },
    }))
}

fn pod(plan: &Plan, made: &Pod) -> Value {
    let (spec, role) = (&plan.spec, plan.role);
    let address = made
        .address
        .map_or_else(|| NODE.to_string(), |address| address.to_string());
    let mut annotations = strings(&spec.annotations);
    if role.workload == Workload::Static {
        annotations.insert("kubernetes.io/config.mirror".to_owned(), json!(spec.uid));
    }
    let ports: Vec<_> = role
        .listens
        .iter()
        .filter_map(|address| address.parse::<SocketAddr>().ok())
        .map(|address| json!({"containerPort": address.port(), "protocol": "TCP"}))
        .collect();
    let container = &spec.container;
    let image = format!("registry.k8s.io/{}:v1.36.0", container.name);
    let running = json!({"running": {"startedAt": SINCE}});
    json!({
        "metadata": {
            "name": spec.name, "namespace": spec.namespace, "uid": plan.api_uid, "resourceVersion": "454",
            "creationTimestamp": SINCE, "labels": strings(&spec.labels), "annotations": annotations,
            "ownerReferences": [plan.owner],
        },
        "spec": {
            "nodeName": NODE_NAME, "hostNetwork": spec.host_network, "restartPolicy": "Always",
            "containers": [{"name": container.name, "image": image, "command": container.argv, "ports": ports}],
        },
        "status": {
            "phase": "Running", "hostIP": NODE, "podIP": address, "podIPs": [{"ip": address}], "startTime": SINCE,
            "qosClass": "Burstable", "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": SINCE}],
            "containerStatuses": [{
                "name": container.name, "image": image, "imageID": "", "ready": true, "restartCount": 0, "started": true,
                "containerID": format!("containerd://{}", made.container), "state": running, "lastState": {},
            }],
        },
    })
}

fn service(service: &Service) -> Result<Value> {
    let address = service.cluster.ip();
    let mut port =
        json!({"protocol": "TCP", "port": service.cluster.port(), "targetPort": service.target_port});
    let mut spec = json!({"clusterIP": address, "clusterIPs": [address], "sessionAffinity": "None", "ipFamilies": ["IPv4"]});
    if let (Some(port), Some(spec)) = (port.as_object_mut(), spec.as_object_mut()) {
        if !service.port_name.is_empty() {
            port.insert("name".to_owned(), json!(service.port_name));
        }
        if let Some(node_port) = service.node_port {
            port.insert("nodePort".to_owned(), json!(node_port));
        }
        let kind = if service.node_port.is_some() {
            "NodePort"
        } else {
            "ClusterIP"
        };
        spec.insert("type".to_owned(), json!(kind));
        spec.insert("ports".to_owned(), json!([port]));
        if let Some((key, value)) = service.selector {
            spec.insert("selector".to_owned(), json!({key: value}));
        }
    }
    let metadata = metadata(service.name, Some(service.namespace), &json!({}))?;
    Ok(json!({"metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}))
}

fn slice(service: &Service, endpoints: &[SocketAddr], pods: &[(&Plan, &Pod)]) -> Result<Value> {
    let endpoints: Vec<_> = endpoints
        .iter()
        .zip(service.pods)
        .map(|(endpoint, key)| {
            let mut entry = json!({"addresses": [endpoint.ip()], "conditions": {"ready": true, "serving": true, "terminating": false}});
            let plan = pods.iter().find(|(plan, _)| plan.role.key == *key).map(|(plan, _)| plan);
            // The API server's own slice names no pod.
            if let (Some(plan), Some(entry), Some(_)) = (plan, entry.as_object_mut(), service.selector) {
                let (namespace, name) = (&plan.spec.namespace, &plan.spec.name);
                let target = json!({"kind": "Pod", "namespace": namespace, "name": name, "uid": plan.api_uid});
                entry.insert("targetRef".to_owned(), target);
                entry.insert("nodeName".to_owned(), json!(NODE_NAME));
            }
            entry
        })
        .collect();
    let name = match service.selector {
        Some(_) => format!("{}-{}", service.name, ids::suffix(5)?),
        None => service.name.to_owned(),
    };
    let labels = json!({"kubernetes.io/service-name": service.name});
    Ok(json!({
        "metadata": metadata(&name, Some(service.namespace), &labels)?, "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": service.port_name, "protocol": "TCP", "port": service.target_port}],
    }))
}

fn strings(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}
