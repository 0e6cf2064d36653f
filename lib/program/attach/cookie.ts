import { u64 } from "../../options.js";

export interface CookieOptions {
  /** A u64 that the program reads with bpf_get_attach_cookie(). Minimum kernel 5.15, unless the method says otherwise. */
  readonly cookie?: number | bigint | undefined;
}

export const COOKIE = { cookie: u64 } as const;

export function cookieOf(options: CookieOptions): bigint {
  return BigInt(options.cookie ?? 0);
}
