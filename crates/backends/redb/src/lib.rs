//! The redb engine of Stead.
