//! The RocksDB engine of Stead.
