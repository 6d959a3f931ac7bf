//! The in-memory backend of Stead.
