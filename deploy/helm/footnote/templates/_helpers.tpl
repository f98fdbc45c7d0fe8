{{/* What every object is named after: the release, unless it says footnote itself. */}}
{{- define "footnote.name" -}}
{{- ternary .Release.Name (printf "%s-footnote" .Release.Name) (contains "footnote" .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The services and what differs between them. secrets: file in /run/secrets → key of the Secret. */}}
{{- define "footnote.services" -}}
gateway:
  metrics: 9101
  secrets:
    admin_key: admin_key
    deployment_secret: deployment_secret
    bus_hub_key: bus_hub_key
    bus_workers: bus_workers
    redis_url: redis_gateway_url
    redis_state_url: redis_gateway_state_url
embedder:
  metrics: 9102
  queues: [embed, chat]
  secrets: {bus_hub_public: bus_hub_public, bus_key: bus_embedder_key, redis_url: redis_embedder_url, openai_api_key: openai_api_key}
retriever:
  metrics: 9103
  queues: [retrieve]
  secrets: {bus_hub_public: bus_hub_public, bus_key: bus_retriever_key}
store:
  metrics: 9104
  queues: [store]
  secrets: {bus_hub_public: bus_hub_public, bus_key: bus_store_key, redis_state_url: redis_store_url}
janitor:
  metrics: 9105
  secrets: {bus_hub_public: bus_hub_public, bus_key: bus_janitor_key}
{{- end }}

{{/* Labels that a selector may have: they never change. Takes a dict of root and component. */}}
{{- define "footnote.selector" -}}
app.kubernetes.io/name: footnote
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "footnote.labels" -}}
{{ include "footnote.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "footnote.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* A process without rights: no user of the host, no capability, nothing written. */}}
{{- define "footnote.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "footnote.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Options as environment variables, a service's own before everybody's. Takes a list of maps, the last one first in rank. */}}
{{- define "footnote.env" -}}
{{- $all := dict }}
{{- range . }}{{- $all = mergeOverwrite $all (deepCopy (. | default dict)) }}{{- end }}
{{- range $name, $value := $all }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}

{{/* An egress rule for a dict of `to` and `ports`; nothing without ports. */}}
{{- define "footnote.peers" -}}
{{- if .ports }}
{{- $ports := list }}
{{- range .ports }}{{- $ports = append $ports (dict "protocol" "TCP" "port" (int .)) }}{{- end }}
- ports: {{ $ports | toJson }}
{{- with .to }}
  to: {{ . | toJson }}
{{- end }}
{{- end }}
{{- end }}
