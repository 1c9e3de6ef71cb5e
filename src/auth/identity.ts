/** What a caller may do: read an inbox, publish, operate. */
export type Role = "user" | "service" | "admin";

/** The key that signed a token. */
export interface SigningKey {
  /** Whether the key was withdrawn from the key set or the secrets, so that the tokens that it signed are refused. */
  readonly withdrawn: boolean;
}

/** The caller, as its verified token names it. Nothing in a request can change it. */
export interface Identity {
  /** The id of a user or of a service. */
  readonly subject: string;
  /** Undefined for a service or an admin that is not bound to one tenant. */
  readonly tenant: string | undefined;
  readonly role: Role;
  /** When the token expires, in ms since the Unix epoch. */
  readonly expireTime: number;
  /** The token's id (`jti`), "" for a token without one. */
  readonly tokenId: string;
  /** The user's name to show (claim `name`), "" for none. */
  readonly name: string;
  /** The URL of the user's picture (claim `picture`), "" for none. */
  readonly avatarUrl: string;
  /** The rooms that a user may enter (claim `rooms`): ids and patterns, see isGranted. */
  readonly rooms: readonly string[];
  /** The rooms that a user may publish to (claim `publish`), in the same form. */
  readonly publish: readonly string[];
  /** The rooms that a user may enter by LAST, which kicks everybody else (claim `takeover`), in the same form. */
  readonly takeover: readonly string[];
  /** The key that signed the token; absent in an identity that comes from no token. */
  readonly key?: SigningKey;
}

/** The identity of a user, who always belongs to a tenant. */
export interface UserIdentity extends Identity {
  readonly tenant: string;
  readonly role: "user";
}

/** Reports whether the caller is a user. */
export function isUser(identity: Identity): identity is UserIdentity {
  return identity.role === "user";
}
