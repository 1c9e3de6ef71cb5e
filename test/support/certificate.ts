import type { TlsOptions } from "../../src/http/listener.ts";
import { run } from "./run.ts";
import { findTool, pathOf } from "./tools.ts";

/** The program that makes certificates. */
export const openssl = findTool("openssl", "apt-get install openssl");

/** Creates a key and a self-signed certificate for 127.0.0.1, valid for a day. */
export async function selfSigned(): Promise<TlsOptions> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "-"];
  const cert = ["-x509", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", "-"];
  const pem = await run(pathOf(openssl), "req", ...key, ...cert);
  const begin = pem.indexOf("-----BEGIN CERTIFICATE-----");
  return { key: pem.slice(0, begin), cert: pem.slice(begin) };
}
