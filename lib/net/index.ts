export { type MissedVerdicts, type NfVerdict, NfVerdicts, type NfVerdictsOptions, nfVerdicts } from "./nf_verdicts.js";
export type { NetNamespaceRef } from "./netns.js";
