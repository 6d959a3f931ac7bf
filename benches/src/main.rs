//! The command behind `cargo xtask bench`.

fn main() -> std::process::ExitCode {
    stead_benches::main()
}
