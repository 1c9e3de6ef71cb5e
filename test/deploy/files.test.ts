/** The files of deploy/ against each other and the program. No container engine, cluster or Envoy is here to run them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { type Manifest, manifestOf } from "../../scripts/manifests.ts";
import { readArguments } from "../../src/cli/config/arguments.ts";
import { configure } from "../../src/cli/config/configuration.ts";
import { checkNodes } from "../../src/cli/config/server-options.ts";
import type { Values } from "../../src/cli/config/settings.ts";
import { resolveOptions, type TidingsOptions } from "../../src/options.ts";
import { root } from "../support/run.ts";
import { startServer } from "../support/server.ts";

const read = (name: string) => readFileSync(join(root, "deploy", name), "utf8");
const workspace = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
/** How long a server that closes waits for calls in flight. */
const graceMs = 5_000;

type Tree = { readonly [key: string]: Tree } & { readonly [Symbol.iterator]: () => Iterator<Tree> };
const yaml = (name: string) => parse(read(name), { merge: true }) as Tree;
/** The objects of the Kubernetes files, by kind and name. */
const objects = new Map(
  readdirSync(join(root, "deploy/kubernetes"))
    .filter((name) => name.endsWith(".yaml") && name !== "tidings.yaml")
    .flatMap((name) => parseAllDocuments(read(`kubernetes/${name}`)).map((document) => document.toJS() as Tree))
    .map((object) => [`${object.kind} ${object.metadata?.name ?? ""}`.trim(), object]),
);
const object = (name: string): Tree => {
  const found = objects.get(name);
  if (found === undefined) throw new Error(`no ${name} among ${[...objects.keys()].join(", ")}`);
  return found;
};
const deployment = object("Deployment tidings");
const pod = deployment.spec?.template?.spec as Tree;
const [container] = pod.containers as unknown as [Tree];

/** The values of `serve` in an environment. Throws as the program would. */
function serve(env: Record<string, string>, args: readonly string[] = []): Values {
  const values = configure("serve", readArguments(["serve", ...args]), env);
  checkNodes(values);
  return values;
}

describe("compose.yaml", () => {
  const compose = yaml("compose.yaml");
  const services = compose.services as Tree;
  const nodes = ["tidings-1", "tidings-2"].map((name) => services[name] as Tree);

  test.each(nodes)("gives each node options that the program accepts, and time to drain", (node) => {
    const env = node.environment as unknown as Record<string, string>;
    expect(env.TIDINGS_JWT_SECRET).toMatch(/^\$\{TIDINGS_JWT_SECRET:\?/);
    const { store, bus, drain, drainDelay } = serve(env);
    expect(Object.keys(services)).toContain(new URL(store as string).hostname);
    expect(Object.keys(services)).toContain(new URL(bus as string).hostname);
    expect(Number.parseInt(String(node.stop_grace_period), 10) * 1_000).toBeGreaterThan(drain + drainDelay + graceMs);
  });

  test("names services and files that exist", () => {
    for (const [name, service] of Object.entries(services)) {
      for (const needed of Object.keys(service.depends_on ?? {})) {
        expect(services[needed], `${name} → ${needed}`).toBeDefined();
        const condition = service.depends_on?.[needed]?.condition;
        const checked = services[needed]?.healthcheck !== undefined || nodes.includes(services[needed] as Tree);
        if (String(condition) === "service_healthy") expect(checked, `${needed} has a check`).toBe(true);
      }
      for (const volume of (service.volumes ?? []) as unknown as string[]) {
        const [from = ""] = volume.split(":");
        if (from.startsWith(".")) expect(existsSync(join(root, "deploy", from)), from).toBe(true);
        else expect(Object.keys(compose.volumes ?? {})).toContain(from);
      }
    }
    expect(services["tidings-1"]?.build?.dockerfile).toBe("deploy/Dockerfile");
  });

  test("publishes the ports that nginx listens on", () => {
    const listens = [...read("nginx.conf").matchAll(/^\s*listen (\d+)/gm)].map(([, port]) => port);
    const ports = services.nginx?.ports as unknown as string[];
    expect(ports.map((port) => port.split(":")[1])).toEqual(listens);
  });
});

describe("In deploy/,", () => {
  test.each(["nginx.conf", "Caddyfile"])("%s names the nodes of compose.yaml and their port", (name) => {
    const nodes = new Set([...read(name).matchAll(/\b(tidings-\d):(\d+)/g)].map(([, node, port]) => `${node}:${port}`));
    expect([...nodes]).toEqual(["tidings-1:7300", "tidings-2:7300"]);
  });

  test("envoy.yaml has routes, timeouts and nodes that fit the program; its form alone is checked, without an Envoy", () => {
    const { listeners, clusters } = yaml("envoy.yaml").static_resources as unknown as {
      listeners: [{ filter_chains: [{ filters: [{ typed_config: Tree }] }] }];
      clusters: [{ name: string; load_assignment: { endpoints: [{ lb_endpoints: { endpoint: Tree }[] }] } }];
    };
    const manager = listeners[0].filter_chains[0].filters[0].typed_config;
    const routes = manager.route_config?.virtual_hosts?.[0]?.routes as unknown as { route?: Tree }[];
    const last = routes.at(-1)?.route as Tree;
    expect(last).toMatchObject({ cluster: clusters[0].name, timeout: "0s" });
    expect(manager.upgrade_configs).toEqual([{ upgrade_type: "websocket" }]);
    const heartbeat = serve({}).heartbeat;
    expect(Number.parseInt(String(manager.stream_idle_timeout), 10) * 1_000).toBeGreaterThan(2 * heartbeat);
    const addresses = clusters[0].load_assignment.endpoints[0].lb_endpoints.map(({ endpoint }) => endpoint.address);
    expect(addresses).toEqual(
      ["tidings-1", "tidings-2"].map((address) => ({ socket_address: { address, port_value: serve({}).port } })),
    );
  });

  test("nginx.conf waits for more than two heartbeats, and closes idle connections before the nodes do", () => {
    const conf = read("nginx.conf");
    const { heartbeat, idleTimeout } = serve({});
    const seconds = (name: string) =>
      [...conf.matchAll(new RegExp(`\\b${name} (\\d+)s;`, "g"))].map(([, s]) => Number(s) * 1_000);
    for (const name of ["proxy_read_timeout", "grpc_read_timeout"]) {
      expect(seconds(name)).toHaveLength(1);
      for (const milliseconds of seconds(name)) expect(milliseconds).toBeGreaterThan(2 * heartbeat);
    }
    expect(seconds("keepalive_timeout")).toHaveLength(2);
    for (const milliseconds of seconds("keepalive_timeout")) expect(milliseconds).toBeLessThan(idleTimeout);
  });
});

describe("Dockerfile", () => {
  const lines = read("Dockerfile")
    .split("\n")
    .filter((line) => /^[A-Z]+ /.test(line));
  const of = (keyword: string) =>
    lines.filter((line) => line.startsWith(`${keyword} `)).map((line) => line.slice(keyword.length + 1));

  test("copies files that exist and that .dockerignore lets through", () => {
    const ignored = new Set(
      read("Dockerfile.dockerignore")
        .split("\n")
        .filter((line) => line.startsWith("!"))
        .map((line) => line.slice(1)),
    );
    const sources = of("COPY")
      .filter((copy) => !copy.startsWith("--from"))
      .flatMap((copy) => copy.split(" ").slice(0, -1));
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      expect(existsSync(join(root, source)), source).toBe(true);
      expect(ignored, source).toContain(source);
    }
    expect(ignored).toEqual(new Set(sources));
  });

  test("copies everything that the build reads", () => {
    const { include } = parse(readFileSync(join(root, "tsconfig.build.json"), "utf8")) as { include: string[] };
    const build = readFileSync(join(root, "scripts/build.ts"), "utf8");
    const read = [...build.matchAll(/join\(root, "([^"/]+)|"(tsconfig\.[^"]+)"/g)]
      .map(([, name, project]) => name ?? project ?? "")
      .filter((name) => !["dist", "node_modules"].includes(name));
    const copied = of("COPY").flatMap((copy) => copy.split(" "));
    expect(new Set(read).size).toBeGreaterThan(1);
    for (const name of [...include, ...read]) expect(copied, name).toContain(name);
  });

  test("runs scripts of package.json, and the program that the build makes", () => {
    const { scripts } = workspace as { scripts?: Record<string, string> };
    const { bin } = manifestOf("tidings", workspace);
    const called = of("RUN").flatMap((run) => [...run.matchAll(/npm run ([\w:-]+)/g)].map(([, name = ""]) => name));
    expect(called).not.toEqual([]);
    for (const name of called) expect(Object.keys(scripts ?? {})).toContain(name);
    expect(of("ENTRYPOINT").join()).toContain(`/app/${bin?.tidings?.replace("./", "")}`);
  });

  test("ends in a stage without root, with options that the program accepts", () => {
    const [last = ""] = of("FROM").slice(-1);
    expect(last).toMatch(/:nonroot$/);
    expect(read("Dockerfile").split(last)[1]).not.toMatch(/^(RUN|USER root)/m);
    const env = Object.fromEntries(
      [
        ...of("ENV")
          .join(" ")
          .matchAll(/(\w+)=(\S+)/g),
      ].map(([, name, value]) => [name, value]),
    );
    const values = serve(env);
    expect(values).toMatchObject({ host: "0.0.0.0", data: of("VOLUME")[0] });
    expect(of("EXPOSE")).toEqual([String(values.port)]);
  });

  test("has a health check on a path that the server answers", async () => {
    const server = await startServer();
    try {
      const [path = ""] = /(?<=\}|\d)\/\w+(?=`)/.exec(of("HEALTHCHECK")[0] ?? "") ?? [];
      expect(path).not.toBe("");
      expect((await fetch(server.url + path)).status).toBe(200);
    } finally {
      await server.stop();
    }
  });

  test("installs the drivers and everything else that the server may need", () => {
    const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
      packages: Record<string, { dev?: boolean }>;
    };
    const { dependencies, peerDependencies } = manifestOf("tidings", workspace);
    const needed = Object.keys({ ...dependencies, ...peerDependencies }).filter(
      (name) => !["vitest", "fast-check"].includes(name),
    );
    expect(needed).toContain("mongodb");
    for (const name of needed) expect(packages[`node_modules/${name}`], name).not.toMatchObject({ dev: true });
  });
});

describe("deploy/kubernetes", () => {
  const config = parse(read("kubernetes/tidings.yaml")) as Record<string, unknown>;
  const secret = object("Secret tidings").stringData as unknown as Record<string, string>;

  test("has options and values that the program accepts", () => {
    const values = serve(secret, ["--config", join(root, "deploy/kubernetes/tidings.yaml")]);
    for (const name of Object.keys(config)) expect(values[name as keyof Values], name).toBeDefined();
    expect(values.host).toBe("0.0.0.0");
    const [port, metrics] = container.ports as unknown as { containerPort: number }[];
    expect(values.port).toBe(port?.containerPort);
    expect(values.metricsAddress).toEqual({ host: "0.0.0.0", port: metrics?.containerPort });
    expect(read("kubernetes/deployment.yaml")).toContain(`prometheus.io/port: "${metrics?.containerPort}"`);
  });

  test("has a secret whose placeholders start no server", () => {
    const { TIDINGS_JWT_SECRET: jwtSecret = "", TIDINGS_STORE: store = "", TIDINGS_BUS: bus = "" } = secret;
    expect(jwtSecret.length).toBeLessThan(32);
    const auth = { secret: "k3yF0rTe5ts-0nly-q8Zr2Vw6Xn4Bm1Lc" };
    const resolve = (options: Partial<TidingsOptions>) => resolveOptions({ auth, ...options });
    const placeholder = { data: ":memory:", auth: { secret: jwtSecret } };
    expect(() => resolve(placeholder)).toThrow("auth.secret: a placeholder");
    expect(() => resolve({ store })).toThrow("store: its password is a placeholder");
    const shared = store.replace("replace-me", "x7Gq");
    expect(() => resolve({ store: shared, bus })).toThrow("bus: its password is a placeholder");
    expect(resolve({ store: shared, bus: bus.replace("replace-me", "x7Gq") })).toBeDefined();
  });

  test("gives a pod more time to end than draining takes", () => {
    const { drain, drainDelay } = serve(secret, ["--config", join(root, "deploy/kubernetes/tidings.yaml")]);
    expect(Number(pod.terminationGracePeriodSeconds) * 1_000).toBeGreaterThan(drain + drainDelay + graceMs);
    // The readiness probe must fail before the node closes its port.
    const { periodSeconds, failureThreshold } = container.readinessProbe as unknown as Record<string, number>;
    expect((periodSeconds as number) * (failureThreshold as number) * 1_000).toBeLessThan(drainDelay);
  });

  test("probes paths that the server answers, on a port that the pod has", async () => {
    const ports = (container.ports as unknown as { name: string }[]).map(({ name }) => name);
    const server = await startServer();
    try {
      for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
        const { path, port } = (container[probe] as Tree).httpGet as unknown as {
          path: string;
          port: string;
        };
        expect(ports).toContain(port);
        expect((await fetch(server.url + path)).status, path).toBe(200);
      }
    } finally {
      await server.stop();
    }
  });

  test("refers to names that its files define", () => {
    const labels = deployment.spec?.template?.metadata?.labels;
    expect(deployment.spec?.selector?.matchLabels).toEqual(labels);
    expect(object("PodDisruptionBudget tidings").spec?.selector?.matchLabels).toEqual(labels);
    for (const name of ["tidings", "tidings-nodes"]) expect(object(`Service ${name}`).spec?.selector).toEqual(labels);
    expect(object("HorizontalPodAutoscaler tidings").spec?.scaleTargetRef).toMatchObject({
      kind: "Deployment",
      name: "tidings",
    });
    const [secretRef] = container.envFrom as unknown as [Tree];
    expect(objects.has(`Secret ${secretRef.secretRef?.name}`)).toBe(true);
    const [volume] = pod.volumes as unknown as [Tree];
    const kustomization = object("Kustomization");
    const [generated] = kustomization.configMapGenerator as unknown as [{ name: string; files: string[] }];
    expect(volume.configMap?.name).toBe(generated.name);
    for (const file of [...generated.files, ...(kustomization.resources as unknown as string[])]) {
      expect(existsSync(join(root, "deploy/kubernetes", file)), file).toBe(true);
    }
    const [image] = kustomization.images as unknown as [{ name: string }];
    expect(container.image).toBe(image.name);
    const [{ mountPath }] = container.volumeMounts as unknown as [{ mountPath: string }];
    const [{ name, value }] = container.env as unknown as [{ name: string; value: string }];
    expect([name, value]).toEqual(["TIDINGS_CONFIG", `${mountPath}/${generated.files[0]}`]);
  });

  test("replaces pods one at a time by ready ones, and scales by streams", () => {
    expect(deployment.spec?.strategy?.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
    const metrics = object("HorizontalPodAutoscaler tidings").spec?.metrics as unknown as {
      pods?: { metric: { name: string } };
    }[];
    expect(metrics.map(({ pods }) => pods?.metric.name)).toContain("tidings_streams");
  });
});
