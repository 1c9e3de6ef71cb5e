/** The output of `tidings dev`: command lines to paste into a shell, from top to bottom. */
import type { Address } from "../../http/listener.ts";
import type { Printer } from "../output/printer.ts";
import { demoService, demoTenant, demoUsers } from "./demo-tokens.ts";
import { devSecretPath } from "./dev-secret.ts";

/** Prints the addresses, the tokens by id, and calls to try. */
export function printQuickStart(
  print: Printer,
  address: Pick<Address, "port" | "url">,
  folder: string,
  tokens: ReadonlyMap<string, string>,
): void {
  const url = localUrl(address);
  const say = (label: string, text: string) => print.line(`  ${label.padEnd(10)} ${text}`);
  print.line(`${print.style("bold", "Tidings is ready.")} Press Ctrl-C to stop it.`);
  print.line();
  say("Demo page", print.style("cyan", `${url}/`));
  say("Service", url);
  say("Data", `${folder} (the secret that signs tokens is in ${devSecretPath(folder)})`);
  print.line();
  heading(
    print,
    `Tokens for the service ${demoService} and the users ${demoUsers.join(" and ")} of the tenant ${demoTenant}, valid for 24 hours`,
  );
  for (const [id, token] of tokens) print.line(`export ${variable(id)}=${token}`);
  print.line();
  heading(print, "Publish to ada with curl, grpcurl and buf");
  for (const line of publishLines(url)) print.line(line);
  print.line();
  heading(print, "List the unread messages of ada, and count the users online");
  print.line(curl(url, "ada", "ListUnread", "{}"));
  print.line(curl(url, "ada", "OnlineCount", "{}"));
}

function heading(print: Printer, text: string): void {
  print.line(print.style("dim", `# ${text}`));
}

/** The URL at which this machine reaches the server: one can listen on 0.0.0.0 and ::, but not connect to them. */
function localUrl({ url }: Pick<Address, "url">): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

function variable(id: string): string {
  return id.toUpperCase();
}

function publishLines(url: string): string[] {
  const bearer = `"Authorization: Bearer $${variable(demoService)}"`;
  const { host } = new URL(url);
  const draft = (tool: string) =>
    JSON.stringify({
      audience: { userId: demoUsers[0] },
      message: { kind: "KIND_NOTIFICATION", category: "system", title: `Hello from ${tool}` },
    });
  const method = "tidings.v1.PushService/Publish";
  return [
    curl(url, demoService, "Publish", draft("curl")),
    `grpcurl -plaintext -H ${bearer} -d '${draft("grpcurl")}' ${host} ${method}`,
    `npx @bufbuild/buf curl --http2-prior-knowledge --protocol grpc --header ${bearer} -d '${draft("buf")}' ${url}/${method}`,
  ];
}

function curl(url: string, caller: string, method: string, body: string): string {
  const headers = `-H "Authorization: Bearer $${variable(caller)}" -H 'Content-Type: application/json'`;
  return `curl ${headers} -d '${body}' ${url}/tidings.v1.PushService/${method}`;
}
