//! The executor on a real control plane: etcd, API server and controllers, and a node that the
//! tests play. `./check kubernetes` builds what it needs and runs it.

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/node.rs"]
mod node;
#[allow(dead_code, reason = "the tests of the store use all of it")]
#[path = "../../postgres/tests/support/cluster.rs"]
mod postgres;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/stage.rs"]
mod stage;

#[path = "cluster/contract.rs"]
mod contract;
#[path = "cluster/crashes.rs"]
mod crashes;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/measure.rs"]
mod measure;
