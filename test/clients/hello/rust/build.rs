//! Generates the client from the folder of protos that the environment names.

fn main() -> std::io::Result<()> {
    let proto = std::env::var("TIDINGS_PROTO").expect("TIDINGS_PROTO is not set");
    println!("cargo::rerun-if-env-changed=TIDINGS_PROTO");
    tonic_prost_build::configure()
        .build_server(false)
        .compile_protos(&[format!("{proto}/tidings/v1/push_service.proto")], &[proto])
}
