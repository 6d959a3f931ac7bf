//! The sled engine of Stead.
