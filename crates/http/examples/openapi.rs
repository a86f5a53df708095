//! Prints the OpenAPI document: `cargo run -p jobwright-http --example openapi > docs/openapi.json`
#![expect(clippy::print_stdout, reason = "it prints a document")]

fn main() {
    print!("{}", jobwright_http::openapi());
}
