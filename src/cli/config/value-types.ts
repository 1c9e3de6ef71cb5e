/** The types of settings: each reads a value from the text of a flag or variable, or from the YAML of a file. */
import { busUrlRule, isBusUrl, isStoreUrl, storeUrlRule } from "../../adapters/urls.ts";
import { isKeySetUrl, keySetUrlRule } from "../../auth-options.ts";
import { isPathPrefix } from "../../http/path-prefix.ts";
import type { RateOption } from "../../limit-options.ts";
import type { Rate } from "../../ports/rate-limiter.ts";
import { addressRangeRule, isAddressRange } from "../../util/address-list.ts";
import { isCookieName } from "../../util/cookies.ts";
import { dayMs } from "../../util/durations.ts";

/** The type of a setting's value. */
export interface ValueType<T> {
  /** Stands for the value in the help; undefined for a switch, which needs no value. */
  readonly placeholder: string | undefined;
  /** The allowed values, as the words after "must be". */
  readonly allowed: string;
  /** The words that are allowed, where there are only a few. */
  readonly words?: readonly string[];
  /** The flag may be repeated, and the value is a list. */
  readonly many?: boolean;
  /** Parses a value; `undefined` when it is not allowed. */
  read(raw: unknown): T | undefined;
}

/** Text, not empty. */
export const text: ValueType<string> = {
  placeholder: "text",
  allowed: "text (quote it in a file), not empty",
  read: (raw) => (typeof raw === "string" && raw !== "" ? raw : undefined),
};

/** Secrets, one on each line of a text or in each item of a list. They may hold commas and blanks, but no line breaks. */
export const secrets: ValueType<readonly string[]> = {
  placeholder: "text",
  allowed: "text (quote it in a file), not empty, or several, each on a line of its own",
  many: true,
  read(raw) {
    const items = Array.isArray(raw) ? raw : [raw];
    if (!items.every((item) => typeof item === "string")) return undefined;
    const lines = items.flatMap((item: string) => linesOf(item));
    return lines.length > 0 ? lines : undefined;
  },
};

/** The name of a cookie. */
export const cookieName: ValueType<string> = {
  placeholder: "name",
  allowed: "the name of a cookie",
  read: (raw) => (typeof raw === "string" && isCookieName(raw) ? raw : undefined),
};

/** The lines of a text that are not empty, without their line breaks. Editors end a file with one, and so does openssl. */
export function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== "");
}

/** A token. Characters that an HTTP header cannot carry are refused here, because the error of `fetch` would quote them. */
export const jwt: ValueType<string> = {
  placeholder: "jwt",
  allowed: "a JWT without blanks",
  read: (raw) => (typeof raw === "string" && /^[!-~]+$/.test(raw) ? raw : undefined),
};

/** The credential that follows `Bearer` in an Authorization header. */
export const bearer: ValueType<string> = {
  ...jwt,
  placeholder: "text",
  allowed: "text of visible ASCII characters without blanks",
};

/** The name or address of a network interface. */
export const address: ValueType<string> = { ...text, placeholder: "address", allowed: "a host name or an IP address" };

/** An address to listen on, with its port. IPv6 addresses are in brackets. */
export const hostAndPort: ValueType<{ readonly host: string; readonly port: number }> = {
  placeholder: "address:port",
  allowed: "an address and a port, such as 127.0.0.1:9464 or [::1]:9464",
  read(raw) {
    const [, bare, bracketed, digits] =
      /^(?:([^\s:[\]]+)|\[([0-9a-fA-F:]+)\]):(\d{1,5})$/.exec(typeof raw === "string" ? raw : "") ?? [];
    const host = bare ?? bracketed;
    const port = Number(digits);
    return host !== undefined && port <= 65_535 ? { host, port } : undefined;
  },
};

/** The path of a unix socket, after `unix:`. */
export const unixSocket: ValueType<string> = {
  placeholder: "unix:path",
  allowed: "unix: and the path of a socket, such as unix:/run/tidings/tidings.sock",
  read: (raw) => (typeof raw === "string" ? /^unix:(.+)$/.exec(raw)?.[1] : undefined),
};

/** The mode of a file, in octal digits. */
export const fileMode: ValueType<number> = {
  placeholder: "mode",
  allowed: "three octal digits, such as 660",
  read: (raw) => (/^[0-7]{3}$/.test(String(raw)) ? Number.parseInt(String(raw), 8) : undefined),
};

/** The name of a run: a request id, which has at most 128 characters, is made of it and the number of a line. */
export const runName: ValueType<string> = {
  placeholder: "text",
  allowed: "1 to 100 visible ASCII characters",
  read: (raw) => (typeof raw === "string" && /^[!-~]{1,100}$/.test(raw) ? raw : undefined),
};

/** A path in the file system. */
export const path: ValueType<string> = { ...text, placeholder: "path", allowed: "a path" };

/** A switch: true or false. */
export const toggle: ValueType<boolean> = {
  placeholder: undefined,
  allowed: "true or false",
  read: (raw) => (raw === true || raw === "true" ? true : raw === false || raw === "false" ? false : undefined),
};

/** A whole number from `least` to `most`. */
export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): ValueType<number> {
  const allowed = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
  return {
    placeholder: "number",
    allowed: `a whole number ${allowed}`,
    read(raw) {
      const value = typeof raw === "string" && /^\d{1,16}$/.test(raw) ? Number(raw) : raw;
      const fits = Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
      return fits ? (value as number) : undefined;
    },
  };
}

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: dayMs };

/** A duration from `least` to `most` ms, read as ms. The unit is mandatory: a bare number could be seconds or milliseconds. */
export function duration(least: number, most: number): ValueType<number> {
  return {
    placeholder: "duration",
    allowed: `a number with a unit (ms, s, m, h, d), from ${spell(least)} to ${spell(most)}, such as 25s or 1.5h`,
    read(raw) {
      const [, number, unit] = /^(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)$/.exec(typeof raw === "string" ? raw : "") ?? [];
      if (number === undefined) return undefined;
      const value = Math.round(Number(number) * units[unit as keyof typeof units]);
      return value >= least && value <= most ? value : undefined;
    },
  };
}

/** Formats a duration in the largest unit that divides it: 25,000 ms is `25s`. */
export function spell(milliseconds: number): string {
  const unit = Object.entries(units).findLast(([, size]) => milliseconds % size === 0 && milliseconds >= size);
  return unit === undefined ? `${milliseconds}ms` : `${milliseconds / unit[1]}${unit[0]}`;
}

/** A rate per second with its burst, or `none` for no limit, which is Infinity. */
export const rate: ValueType<RateOption> = {
  placeholder: "rate:burst",
  allowed: "a number per second, with a burst after a colon or one of five times as many, such as 20:100, or none",
  read(raw) {
    if (raw === "none") return Number.POSITIVE_INFINITY;
    const [, digits, more] = /^(\d{1,12}(?:\.\d{1,6})?)(?::(\d{1,12}))?$/.exec(String(raw)) ?? [];
    const [perSecond, burst] = [Number(digits), Number(more)];
    if (!(perSecond > 0)) return undefined;
    if (more === undefined) return perSecond;
    return burst >= 1 ? { perSecond, burst } : undefined;
  },
};

/** Formats a rate as `rate` reads it. */
export function spellRate(value: Rate | undefined): string {
  return value === undefined ? "none" : `${value.perSecond}:${value.burst}`;
}

/** A time, read as ms since the Unix epoch. The offset is mandatory: a bare time would depend on the machine's time zone. */
export const instant: ValueType<number> = {
  placeholder: "time",
  allowed: "a time with its UTC offset, such as 2026-11-03T10:20:00Z",
  read(raw) {
    const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;
    const value = typeof raw === "string" && form.test(raw) ? Date.parse(raw) : Number.NaN;
    return Number.isNaN(value) ? undefined : value;
  },
};

/** A time, or how long ago it was. The value returns it in ms since the Unix epoch, for the present time. */
export function moment(most: number): ValueType<(now: number) => number> {
  const ago = duration(1, most);
  return {
    placeholder: "duration|time",
    allowed: "how long ago, such as 15m, or a time with its UTC offset, such as 2026-11-03T10:20:00Z",
    read(raw) {
      const milliseconds = ago.read(raw);
      const time = instant.read(raw);
      if (milliseconds !== undefined) return (now) => now - milliseconds;
      return time === undefined ? undefined : () => time;
    },
  };
}

/** One of these words. */
export function choice<const T extends string>(...words: readonly T[]): ValueType<T> {
  return {
    placeholder: words.join("|"),
    allowed: `one of ${words.join(", ")}`,
    words,
    read: (raw) => words.find((word) => word === raw),
  };
}

/** An http or https URL. A password is refused, because process lists and logs would show it. */
export const url: ValueType<string> = {
  placeholder: "url",
  allowed: "an http or https URL without user, password, query or fragment",
  read(raw) {
    const parsed = typeof raw === "string" ? URL.parse(raw) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
    return parsed.username || parsed.password || parsed.search || parsed.hash ? undefined : (raw as string);
  },
};

/** The URL of a store that nodes share. */
export const storeUrl: ValueType<string> = {
  placeholder: "url",
  allowed: storeUrlRule,
  read: (raw) => (typeof raw === "string" && isStoreUrl(raw) ? raw : undefined),
};

/** The URL of the bus between nodes. */
export const busUrl: ValueType<string> = {
  placeholder: "url",
  allowed: busUrlRule,
  read: (raw) => (typeof raw === "string" && isBusUrl(raw) ? raw : undefined),
};

/** The URL of a JSON Web Key Set. Unlike `url` it may have a query. */
export const keySetUrl: ValueType<string> = {
  placeholder: "url",
  allowed: keySetUrlRule,
  read: (raw) => (typeof raw === "string" && isKeySetUrl(raw) ? raw : undefined),
};

/** The URL of a webhook. Unlike `url` it may have a query. `fetch` would refuse a password, but only at the first request. */
export const hookUrl: ValueType<string> = {
  placeholder: "url",
  allowed: "an http or https URL without user, password or fragment",
  read(raw) {
    const parsed = typeof raw === "string" ? URL.parse(raw) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
    return parsed.username || parsed.password || parsed.hash ? undefined : (raw as string);
  },
};

/** The origin of a page, or `*` for all origins. */
export const origin: ValueType<string> = {
  placeholder: "origin",
  allowed: "an origin such as https://app.example.com, or * for all",
  read(raw) {
    if (typeof raw !== "string") return undefined;
    return raw === "*" || URL.parse(raw)?.origin === raw ? raw : undefined;
  },
};

/** An address, a subnet or `unix:`, as AddressList takes it. */
export const addressRange: ValueType<string> = {
  placeholder: "address",
  allowed: addressRangeRule,
  read: (raw) => (typeof raw === "string" && isAddressRange(raw) ? raw : undefined),
};

/** A path below which a server is reached, such as `/push`. */
export const pathPrefix: ValueType<string> = {
  placeholder: "path",
  allowed: "a path that begins with / and does not end with it, such as /push",
  read: (raw) => (typeof raw === "string" && isPathPrefix(raw) ? raw : undefined),
};

/** A JSON value, parsed. The wrapper tells the value `null` from a missing one. */
export const json: ValueType<{ readonly value: unknown }> = {
  placeholder: "json",
  allowed: "valid JSON",
  read(raw) {
    try {
      return typeof raw === "string" ? { value: JSON.parse(raw) } : undefined;
    } catch {
      return undefined;
    }
  },
};

/** One or more values, separated by commas or in repeated flags. */
export function list<T>(of: ValueType<T>): ValueType<readonly T[]> {
  return {
    placeholder: `${of.placeholder},…`,
    allowed: `a list, each ${of.allowed}`,
    ...(of.words && { words: of.words }),
    many: true,
    read(raw) {
      const items = Array.isArray(raw) ? raw : [raw];
      const parts = items.flatMap((item: unknown) => (typeof item === "string" ? item.split(",") : [item]));
      const values = parts.map((part) => of.read(typeof part === "string" ? part.trim() : part));
      return values.length > 0 && values.every((value) => value !== undefined) ? (values as T[]) : undefined;
    },
  };
}

/** One or more values, each in its own flag, because a value may contain commas. */
export function repeated<T>(of: ValueType<T>): ValueType<readonly T[]> {
  return {
    placeholder: of.placeholder,
    allowed: `${of.allowed}, once or more`,
    many: true,
    read(raw) {
      const values = (Array.isArray(raw) ? raw : [raw]).map((item) => of.read(item));
      return values.length > 0 && values.every((value) => value !== undefined) ? (values as T[]) : undefined;
    },
  };
}
