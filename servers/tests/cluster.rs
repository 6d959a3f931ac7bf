//! A private Redis Cluster forms, loses a master and goes on.

use stead_servers::{AppendFsync, ClusterNode, RedisCluster, RedisOptions, Role};

#[test]
fn a_replica_takes_over_from_a_killed_master_which_returns_as_a_replica() {
    let options = RedisOptions::default().with_append_only(AppendFsync::EverySecond);
    let cluster = RedisCluster::start_with(options).unwrap();
    let nodes = cluster.nodes().unwrap();
    let masters = nodes.iter().filter(|node| node.role == Role::Master);
    assert_eq!(masters.count(), 3);
    for master in &nodes[..3] {
        let follows = |node: &&ClusterNode| matches!(&node.role, Role::Replica { of } if *of == master.id);
        assert_eq!(nodes.iter().filter(follows).count(), 1, "{nodes:?}");
    }
    let slots: usize = nodes
        .iter()
        .flat_map(|node| &node.slots)
        .map(ExactSizeIterator::len)
        .sum();
    assert_eq!(slots, 16_384);
    assert_eq!(cluster.url().matches("127.0.0.1:").count(), 6);

    let killed = cluster.kill_master(1).unwrap();
    assert_eq!(killed, 1);
    assert!(!cluster.node(killed).is_awake());
    cluster.wait_ready().unwrap();
    let successor = cluster.master_of(6_000).unwrap();
    assert_ne!(successor, killed);
    assert!(cluster.node(successor).is_awake());

    cluster.node(killed).restart().unwrap();
    cluster.wait_ready().unwrap();
    let nodes = cluster.nodes().unwrap();
    assert_eq!(
        nodes[killed].role,
        Role::Replica {
            of: nodes[successor].id.clone()
        }
    );
    let pids: Vec<u32> = (0..6).filter_map(|index| cluster.node(index).pid()).collect();
    assert_eq!(pids.len(), 6);
    drop(cluster);
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}

#[test]
fn two_clusters_do_not_meet() {
    let (one, other) = (RedisCluster::start().unwrap(), RedisCluster::start().unwrap());
    let ids = |cluster: &RedisCluster| -> Vec<String> {
        let nodes = cluster.nodes().unwrap();
        nodes.into_iter().map(|node| node.id).collect()
    };
    let (one, other) = (ids(&one), ids(&other));
    assert_eq!((one.len(), other.len()), (6, 6));
    assert!(one.iter().all(|id| !other.contains(id)));
}
