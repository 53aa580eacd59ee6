{{- define "backupmx.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains "backupmx" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-backupmx" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "backupmx.selector" -}}
app.kubernetes.io/name: backupmx-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "backupmx.labels" -}}
{{- include "backupmx.labelsWith" (list . dict) -}}
{{- end -}}

{{/* With labels of the object's own: (list $ .Values.podLabels). What the user says goes before what the chart says, and
     no key is there twice, which not every reader of YAML takes. The schema keeps the selector's keys out of both. */}}
{{- define "backupmx.labelsWith" -}}
{{- $root := first . -}}
{{- $selector := include "backupmx.selector" $root | fromYaml -}}
{{- $chart := dict
  "app.kubernetes.io/part-of" "backupmx"
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- toYaml (merge dict $selector (last . | default dict) ($root.Values.commonLabels | default dict) $chart) -}}
{{- end -}}

{{- define "backupmx.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "backupmx.name" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "backupmx.masterKey" -}}
{{- printf "%s-master-key" (include "backupmx.name" .) -}}
{{- end -}}

{{/* The reference of one of the two images: (dict "root" $ "image" .Values.image.relay) */}}
{{- define "backupmx.image" -}}
{{- $name := printf "%s/%s" .root.Values.image.registry .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Labels as an argument: KEY=VALUE with commas between, or * for any. */}}
{{- define "backupmx.labelList" -}}
{{- $pairs := list -}}
{{- range $key, $value := . }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end -}}
{{- join "," $pairs | default "*" -}}
{{- end -}}

{{/* What every pod of the chart has, the operator's and the hooks'. */}}
{{- define "backupmx.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The namespace of the release, as the programs are told it. */}}
{{- define "backupmx.podNames" -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end -}}

{{/* A command of the relay, run in every relay's pod of the namespace of an alert. */}}
{{- define "backupmx.everyRelay" -}}
{{- $namespace := "{{ $labels.namespace }}" -}}
for pod in $(kubectl -n {{ $namespace }} get pods -l app.kubernetes.io/name=backupmx-relay -o name); do kubectl -n {{ $namespace }} exec $pod -- /usr/bin/backupmx-relay {{ . }}; done
{{- end -}}
