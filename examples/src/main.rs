//! Serves the example host pages from a different origin than the counter server, as on the web. It is a tool for people and
//! tests on this machine, not for the internet: it has no TLS, no caching and no limits.

mod files;
mod host_pages;
mod rust_docs;

use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use host_pages::HostPages;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// How long to wait after a failed accept. It fails if there are too many open files, and other connections will close some.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves the example pages of connection-counter, from a different origin than the server.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address and port to listen on. Port 0 picks a free port, which is printed
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2000")]
    listen: SocketAddr,

    /// The counter server, whose live.js the pages load
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:1999", value_parser = host_pages::parse_server)]
    server: String,

    /// The folder of Rust documentation to serve [default: what is installed with the toolchain]
    #[arg(long, value_name = "DIR")]
    rust_docs: Option<PathBuf>,

    /// Let the widget count automated browsers, such as those of tests
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
            // Nobody waits for this task. It ends with its connection or with the process.
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
            // Reading files blocks, so a separate thread does it.
            let answer = tokio::task::spawn_blocking(move || pages.answer(&method, &path)).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|_| files::failed("the host failed; its log says why")))
        }
    });
    // An error here means that the browser has closed the connection.
    let _gone = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
