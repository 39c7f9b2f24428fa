{{/* Labels of everything. Call with a list of the root context and a component. */}}
{{- define "leat.labels" -}}
{{- $root := index . 0 -}}
{{ include "leat.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{/*
The labels by which a component's pods are found. Stream pods let those in, and only those, whose
name is "leat" and who are in the operator's namespace: so it cannot be changed.
*/}}
{{- define "leat.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: leat
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}

{{- define "leat.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* As PodSecurity's level "restricted" wants it. */}}
{{- define "leat.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# Secrets are readable for the group only.
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "leat.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where a component's pods run: apart where there are nodes enough. As leat.labels. */}}
{{- define "leat.spread" -}}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "leat.selector" . | nindent 12 }}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "leat.selector" . | nindent 6 }}
{{- end }}

{{/* The Secret of the AWS endpoint's certificate; empty when it has none. */}}
{{- define "leat.tlsSecret" -}}
{{- if eq .Values.tls.mode "secret" -}}
{{ required "tls.mode is secret: tls.secretName says which" .Values.tls.secretName }}
{{- else if ne .Values.tls.mode "none" -}}
leat-tls
{{- end -}}
{{- end }}

{{- define "leat.scheme" -}}
{{ if eq .Values.tls.mode "none" }}http{{ else }}https{{ end }}
{{- end }}

{{- define "leat.endpoint" -}}
{{ include "leat.scheme" . }}://leat.{{ .Release.Namespace }}:4567
{{- end }}

{{/* The names that clients reach the AWS endpoint by, as a YAML list. */}}
{{- define "leat.names" -}}
{{- $names := list "leat" }}
{{- range list "" ".svc" ".svc.cluster.local" }}
{{- $names = append $names (printf "leat.%s%s" $.Release.Namespace .) }}
{{- end }}
{{- concat $names .Values.tls.extraNames | toYaml }}
{{- end }}
