//! Serves the example host pages from an origin of their own, as in real life: the counter server is elsewhere.
//! A tool for people and tests on this machine, not for the internet: no TLS, no caching, no limits.

mod files;
mod host_pages;
mod rust_docs;

use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use host_pages::HostPages;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// How long to leave a failing accept alone. It fails for want of file descriptors, which other connections give back.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves the example pages of connection-counter, from a different origin than the server.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 picks a free port, which is printed
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2000")]
    listen: SocketAddr,

    /// The counter server, whose live.js the pages load
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:1999", value_parser = host_pages::parse_server)]
    server: String,

    /// The folder of Rust documentation to serve [default: what is installed with the toolchain]
    #[arg(long, value_name = "DIR")]
    rust_docs: Option<PathBuf>,

    /// Have the widget count browsers that are driven by programs, as those of tests are
    #[arg(long)]
    count_bots: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    let docs = args.rust_docs.or_else(rust_docs::installed);
    if docs.is_none() {
        eprintln!("{}", rust_docs::MISSING);
    }
    let pages = Arc::new(HostPages::new(&args.server, docs, args.count_bots));

    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            // Nobody waits for a connection's task: each ends with its connection, all of them with the process.
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&pages)))),
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Answers the requests of one connection until the browser closes it.
async fn serve(stream: TcpStream, pages: Arc<HostPages>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = Arc::clone(&pages);
        async move {
            let method = request.method().clone();
            let path = request.uri().path().to_owned();
            // Reading files blocks, so it happens off the async threads.
            let answer = tokio::task::spawn_blocking(move || pages.answer(&method, &path)).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|_| files::failed("the host failed; its log says why")))
        }
    });
    // An error here is a browser that went away in the middle, which browsers do.
    let _gone = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
