export { ipText, ipv4Number } from "./address.js";
export { type NetNamespaceRef, netnsInode } from "./netns.js";
export {
  type MissedVerdicts,
  type NfProbe,
  type NfVerdict,
  NfVerdicts,
  type NfVerdictsOptions,
  nfVerdicts,
} from "./nf_verdicts.js";
export {
  type TcpFlow,
  type TcpFlowEvent,
  TcpFlows,
  type TcpFlowsOptions,
  type TcpState,
  tcpFlows,
} from "./tcp_flows.js";
