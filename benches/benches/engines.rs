//! The small comparisons with criterion: a point read, a scan of 100 and a buffered put of each engine, bare and under
//! Stead, on stores that fit in any cache.
//!
//! `cargo xtask bench criterion [FILTER]` runs them; a filter such as `redb/get` is criterion's own.

use std::cell::Cell;
use std::hint::black_box;
use std::slice::from_ref;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use stead_benches::engines::{ByHand, ENGINES, Engine, Stead};
use stead_benches::workload::{end, keys, shuffled};
use stead_core::{Durability, Key};

const ENTRIES: usize = 10_000;
const SCAN: usize = 100;

fn engines(criterion: &mut Criterion) {
    for engine in ENGINES {
        compare(criterion, engine);
    }
}

fn compare(criterion: &mut Criterion, engine: &Engine) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let keys = keys(ENTRIES);
    let stead = Stead::open(engine, &dir.path().join("stead"));
    stead.load(&keys, 1_000);
    let bare = ByHand::open(engine, &dir.path().join("bare"));
    bare.load(&keys, 1_000);

    let mut reads = group(criterion, engine, "get");
    side(&mut reads, "stead", &keys, |key| drop(black_box(stead.get(key))));
    side(&mut reads, "bare", &keys, |key| {
        drop(black_box(bare.engine().get(key.as_bytes())));
    });
    reads.finish();

    let starts = &keys[..ENTRIES - SCAN];
    let mut scans = group(criterion, engine, "scan of 100");
    side(&mut scans, "stead", starts, |key| {
        drop(black_box(stead.scan(key, SCAN)));
    });
    let end = end();
    side(&mut scans, "bare", starts, |key| {
        drop(black_box(bare.engine().scan(key.as_bytes(), &end, SCAN)));
    });
    scans.finish();

    let mut puts = group(criterion, engine, "put buffered");
    side(&mut puts, "stead", &keys, |key| {
        stead.put(from_ref(key), Durability::Buffered);
    });
    side(&mut puts, "bare", &keys, |key| bare.put_buffered(from_ref(key)));
    puts.finish();

    stead.close();
    bare.close();
}

fn group<'a>(criterion: &'a mut Criterion, engine: &Engine, name: &str) -> BenchmarkGroup<'a, WallTime> {
    criterion.benchmark_group(format!("{}/{name}", engine.name))
}

/// One side of a comparison, over `keys` in no order.
fn side(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, keys: &[Key], run: impl Fn(&Key)) {
    let next = Cell::new(0);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let index = next.replace(next.get() + 1);
            run(&keys[shuffled(index, keys.len())]);
        });
    });
}

criterion_group!(benches, engines);
criterion_main!(benches);
